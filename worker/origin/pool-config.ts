import { z } from 'zod';
import type { GpuPrice } from '../routing/figures.ts';
import { unknownOriginPrice } from '../routing/prices.ts';

/** Inference servers whose differences are known; `openai` is anything else that speaks the API. */
export const endpointKinds = ['vllm', 'sglang', 'llama-server', 'openai'] as const;
export type EndpointKind = (typeof endpointKinds)[number];

/** Endpoints that serve the same model: any of them may answer. */
export interface PoolConfig {
  /** The name under which the model is offered. */
  model: string;
  endpoints: EndpointConfig[];
  /** Models of other pools to try in this order when this one fails; `edge` for the edge model. */
  fallback: string[];
  timeouts: OriginTimeouts;
  /** Attempts after the first one, at most. */
  retries: number;
  /** Whether a second endpoint may be asked when the first token is late. */
  hedging: boolean;
  /** Probability that its model's answer is good enough; null: not said, so that nearside-auto weighs the pool against no other. */
  quality?: number | null;
}

export interface EndpointConfig {
  /** Unique in its pool. */
  name: string;
  /** Base URL without a trailing slash; ends in /v1. */
  url: string;
  kind: EndpointKind;
  /** The model's name there. */
  model: string;
  /** Endpoints of the gateway's own region come first; null is everywhere. */
  region: string | null;
  /** Share of the traffic in relation to the others. */
  weight: number;
  /** Endpoints of the lowest number are used while any of them is there. */
  priority: number;
  /** Dollars per million tokens, or by the GPU's hour; null when not known. */
  price: { input: number; output: number } | GpuPrice | null;
  /** Longest prompt and answer together, tokens; null when not known. */
  context: number | null;
  /** What it reads (text, image, audio ...); null when not known. */
  modalities: string[] | null;
  key: string | null;
  /** Name of a binding to fetch through (an mTLS certificate, a VPC service); null for the network. */
  binding: string | null;
}

/** Milliseconds. */
export interface OriginTimeouts {
  /** Streaming: from the request to the response's headers; connecting is a part of it. */
  headers: number;
  /** Added to `headers` and `firstToken` for every thousand tokens of prompt, as some servers answer after prefill only. */
  perThousandTokens: number;
  /** Streaming: from the request to the first token; comments and role-only chunks do not count, reasoning does. */
  firstToken: number;
  /** The same for requests that ask for thinking. */
  thinkingFirstToken: number;
  /** Streaming: longest silence after the headers. */
  idle: number;
  /** From the request to the end of the answer. */
  total: number;
}

/** A setting is wrong: the message names the variable and says what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Bindings and secrets may be referred to by these names only, so that a list of origins cannot send any other secret to an address of its choice. */
const secretName = /^NEARSIDE_ORIGIN_KEY(_[A-Z0-9_]+)?$/;
const bindingName = /^ORIGIN_[A-Z0-9_]+$/;

/** Descriptions complete the sentence "... must be". */
const name = (what = 'printable ASCII without spaces') =>
  z
    .string()
    .regex(/^[\x21-\x7e]+$/)
    .describe(what);
const duration = z.int().min(1).max(86_400_000).optional().describe('a whole number of milliseconds from 1 to 86400000');
const amount = z.number().min(0);
const tokenPrice = z.strictObject({ input: amount, output: amount });
/** `keep_seconds: null` is a pool that is always on. */
const gpuPrice = z
  .strictObject({
    gpu_hour: amount,
    slots: z.int().min(1).max(10_000).default(unknownOriginPrice.slots),
    start_seconds: z.number().min(0).max(86_400).default(unknownOriginPrice.startSeconds),
    keep_seconds: z.number().min(0).max(31_536_000).nullable().default(unknownOriginPrice.keepSeconds),
    scales_out: z.boolean().default(unknownOriginPrice.scalesOut),
  })
  .transform(
    ({ gpu_hour, slots, start_seconds, keep_seconds, scales_out }): GpuPrice => ({
      by: 'gpu-hour',
      usdPerHour: gpu_hour,
      slots,
      startSeconds: start_seconds,
      keepSeconds: keep_seconds,
      scalesOut: scales_out,
    }),
  );
/** A pool's or an endpoint's. */
export const priceSchema = z
  .union([tokenPrice, gpuPrice])
  .describe(
    'an object with input and output, dollars per million tokens; or with gpu_hour, dollars, and any of slots, start_seconds, keep_seconds (null: always on) and scales_out',
  );
const traits = {
  price: priceSchema.optional(),
  context: z.int().min(1).optional().describe('a whole number of tokens'),
  modalities: z
    .array(z.enum(['text', 'image', 'audio', 'video', 'file']))
    .min(1)
    .optional()
    .describe('a list of text, image, audio, video, file'),
};
const timeouts = {
  headers_ms: duration,
  per_1k_tokens_ms: z.int().min(0).max(60_000).optional().describe('a whole number of milliseconds from 0 to 60000'),
  first_token_ms: duration,
  thinking_first_token_ms: duration,
  idle_ms: duration,
  total_ms: duration,
};

const endpointSchema = z.strictObject({
  name: name().optional(),
  url: z.string().refine(isBaseUrl).describe('an http or https URL that ends in /v1, without credentials or query'),
  kind: z
    .enum(endpointKinds)
    .default('openai')
    .describe(`one of ${endpointKinds.join(', ')}`),
  model: name().optional(),
  region: name().optional(),
  weight: z.number().positive().max(1000).default(1).describe('a number over 0, at most 1000'),
  priority: z.int().min(0).max(100).default(0).describe('a whole number from 0 to 100'),
  secret: z.string().regex(secretName).optional().describe('the name of a secret: NEARSIDE_ORIGIN_KEY or NEARSIDE_ORIGIN_KEY_ and more'),
  binding: z.string().regex(bindingName).optional().describe('the name of a binding that starts with ORIGIN_'),
  ...traits,
});

const poolSchema = z.strictObject({
  model: name(),
  endpoints: z.array(z.unknown()).min(1).max(100).describe('a list of 1 to 100 endpoints'),
  fallback: z.array(name()).max(10).default([]).describe("a list of at most 10 other pools' models, or edge"),
  timeouts: z
    .strictObject(timeouts)
    .default({})
    .describe(`an object with some of ${Object.keys(timeouts).join(', ')}`),
  retries: z.int().min(0).max(2).default(2).describe('0, 1 or 2'),
  hedging: z.boolean().default(true).describe('true or false'),
  quality: z.number().min(0).max(1).optional().describe('a probability from 0 to 1'),
  ...traits,
});

/** What the list refers to. */
export interface PoolReferences {
  /** The value of a variable or secret. */
  secret(name: string): string | undefined;
  hasBinding(name: string): boolean;
  timeouts: OriginTimeouts;
}

/**
 * Reads a list of pools: JSON text, or the same already decoded. Throws `ConfigError` with the pool, the endpoint and the key that is wrong.
 * @param source where it was read, for messages
 */
export function parsePools(value: unknown, source: string, references: PoolReferences): PoolConfig[] {
  const list = typeof value === 'string' ? parseJson(value, source) : value;
  if (!Array.isArray(list)) throw new ConfigError(`${source} is not valid: it must be a list of pools, each with model and endpoints.`);
  const pools = list.map((entry, i) => parsePool(entry, `${source}: pool ${label(entry, 'model', i)}`, references));
  const models = new Set<string>(['nearside-auto', 'edge']);
  for (const { model } of pools) {
    if (models.has(model))
      throw new ConfigError(`${source}: pool "${model}": its model must be a name that no other pool has, and not nearside-auto or edge.`);
    models.add(model);
  }
  for (const { model, fallback } of pools) {
    const unknown = fallback.find((other) => other === model || other === 'nearside-auto' || !models.has(other));
    if (unknown !== undefined)
      throw new ConfigError(`${source}: pool "${model}": fallback must name other pools' models or edge, and "${unknown}" is neither.`);
  }
  return pools;
}

function parsePool(entry: unknown, where: string, references: PoolReferences): PoolConfig {
  const pool = check(poolSchema, entry, where);
  const endpoints = pool.endpoints.map((given, i) => {
    const place = `${where}, endpoint ${label(given, 'name', i)}`;
    const endpoint = check(endpointSchema, given, place);
    return {
      name: endpoint.name ?? new URL(endpoint.url).host,
      url: endpoint.url.replace(/\/+$/, ''),
      kind: endpoint.kind,
      model: endpoint.model ?? pool.model,
      region: endpoint.region ?? null,
      weight: endpoint.weight,
      priority: endpoint.priority,
      price: endpoint.price ?? pool.price ?? null,
      context: endpoint.context ?? pool.context ?? null,
      modalities: endpoint.modalities ?? pool.modalities ?? null,
      key: secretValue(endpoint.secret, place, references),
      binding: bindingOf(endpoint.binding, place, references),
    };
  });
  const names = endpoints.map((endpoint) => endpoint.name);
  const twice = names.find((one, i) => names.indexOf(one) < i);
  if (twice !== undefined) throw new ConfigError(`${where}: two endpoints are called "${twice}"; give each a name of its own.`);
  return {
    model: pool.model,
    endpoints,
    fallback: pool.fallback,
    timeouts: mergeTimeouts(pool.timeouts, references.timeouts),
    retries: pool.retries,
    hedging: pool.hedging,
    quality: pool.quality ?? null,
  };
}

function mergeTimeouts(given: z.output<typeof poolSchema>['timeouts'], defaults: OriginTimeouts): OriginTimeouts {
  return {
    headers: given.headers_ms ?? defaults.headers,
    perThousandTokens: given.per_1k_tokens_ms ?? defaults.perThousandTokens,
    firstToken: given.first_token_ms ?? defaults.firstToken,
    thinkingFirstToken: given.thinking_first_token_ms ?? (given.first_token_ms ? 3 * given.first_token_ms : defaults.thinkingFirstToken),
    idle: given.idle_ms ?? defaults.idle,
    total: given.total_ms ?? defaults.total,
  };
}

function secretValue(secret: string | undefined, where: string, references: PoolReferences): string | null {
  if (secret === undefined) return null;
  const value = references.secret(secret)?.trim();
  if (!value) throw new ConfigError(`${where}: its secret ${secret} is not set; store it with wrangler secret put ${secret}.`);
  if (!/^[\x21-\x7e]+$/.test(value)) throw new ConfigError(`${secret} is not valid: it must be printable ASCII without spaces.`);
  return value;
}

function bindingOf(binding: string | undefined, where: string, references: PoolReferences): string | null {
  if (binding !== undefined && !references.hasBinding(binding)) {
    throw new ConfigError(`${where}: there is no binding ${binding} to fetch through; add it to wrangler.toml.`);
  }
  return binding ?? null;
}

/** Parses with a schema; a mistake is told by its path and the schema's own description. */
export function check<T extends z.ZodObject>(schema: T, value: unknown, where: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  if (issue.path.length === 0 && issue.code !== 'unrecognized_keys') throw new ConfigError(`${where}: it must be an object.`);
  const field = schema.shape[String(issue.path[0])] as z.ZodType | undefined;
  const description = describe(field);
  if (issue.code === 'unrecognized_keys') {
    const path = [...issue.path, issue.keys[0]].join('.');
    if (field)
      throw new ConfigError(`${where}: ${path} does not belong there; ${String(issue.path[0])} must be ${description ?? 'valid'}.`);
    throw new ConfigError(`${where}: there is no setting ${path}; those there are: ${Object.keys(schema.shape).join(', ')}.`);
  }
  throw new ConfigError(`${where}: ${issue.path.join('.')} must be ${description ?? 'valid'}.`);
}

/** The description may be on the schema or inside its default or optional. */
function describe(field: z.ZodType | undefined): string | undefined {
  if (!field) return undefined;
  return field.description ?? describe((field.def as { innerType?: z.ZodType }).innerType);
}

/** An entry by its name where it has one, else by its place, first is 1. */
function label(entry: unknown, key: string, index: number): string {
  const value = (entry as Record<string, unknown> | null)?.[key];
  return typeof value === 'string' && value !== '' ? `"${value.slice(0, 100)}"` : `${index + 1}`;
}

export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${source} is not valid: it must be JSON (${error instanceof Error ? error.message : error}).`);
  }
}

export function isBaseUrl(value: string): boolean {
  const url = URL.parse(value);
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    /\/v1\/*$/.test(url.pathname) &&
    `${url.search}${url.hash}${url.username}${url.password}` === ''
  );
}
