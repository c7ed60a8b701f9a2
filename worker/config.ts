import { z } from 'zod';

/** Bindings and variables as the platform hands them over. Read here and in the composition root only. */
export interface Env {
  /** Namespace of the engine's `EdgeModel` objects (script nearside-edge). Without it there is no edge route. */
  EDGE_MODEL?: DurableObjectNamespace;
  [variable: `NEARSIDE_${string}`]: string | undefined;
}

export interface Config {
  edge: {
    /** Name offered for the edge model; null for the name the engine reports. */
    model: string | null;
    /** Longest prompt the edge takes, tokens. */
    maxPromptTokens: number;
    /** Longest answer the edge gives, tokens. */
    maxTokens: number;
  };
  origin: OriginConfig | null;
  http: { maxBodyBytes: number; keepAliveMs: number; commitAfterMs: number };
  access: {
    /** SHA-256 digests of the API keys, 32 bytes each. */
    keyDigests: Uint8Array[];
    /** Development: without keys, everyone may call. */
    open: boolean;
  };
}

export interface OriginConfig {
  /** Base URL without a trailing slash; ends in /v1. */
  url: string;
  model: string;
  key: string | null;
  timeouts: OriginTimeouts;
}

/** Milliseconds. */
export interface OriginTimeouts {
  /** Streaming: from the request to the response's headers. */
  headers: number;
  /** Streaming: from the request to the first token; comments and role-only chunks do not count. */
  firstToken: number;
  /** Streaming: longest silence after the headers. */
  idle: number;
  /** Not streaming: from the request to the end of the response. */
  total: number;
}

/** A setting is wrong: the message names the variable and says what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** A whole number; the description completes the sentence "it must be ...". */
const count = (fallback: number, min: number, max: number, unit: string) =>
  z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max)
    .default(fallback)
    .describe(`a whole number of ${unit} from ${min} to ${max}`);
const milliseconds = (fallback: number) => count(fallback, 1, 3_600_000, 'milliseconds');
/** Names and keys travel in headers. */
const token = z
  .string()
  .regex(/^[\x21-\x7e]+$/)
  .optional()
  .describe('printable ASCII without spaces');

const variables = z.object({
  NEARSIDE_EDGE_MODEL: token,
  NEARSIDE_EDGE_MAX_PROMPT_TOKENS: count(256, 1, 1_000_000, 'tokens'),
  NEARSIDE_EDGE_MAX_TOKENS: count(128, 1, 1_000_000, 'tokens'),
  NEARSIDE_ORIGIN_URL: z
    .string()
    .refine(isBaseUrl)
    .optional()
    .describe('an http or https URL that ends in /v1, without credentials or query'),
  NEARSIDE_ORIGIN_MODEL: token,
  NEARSIDE_ORIGIN_KEY: token,
  NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS: milliseconds(30_000),
  NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS: milliseconds(60_000),
  NEARSIDE_ORIGIN_IDLE_TIMEOUT_MS: milliseconds(30_000),
  NEARSIDE_ORIGIN_TOTAL_TIMEOUT_MS: milliseconds(600_000),
  NEARSIDE_COMMIT_AFTER_MS: milliseconds(2_000),
  NEARSIDE_KEEPALIVE_MS: milliseconds(500),
  NEARSIDE_MAX_BODY_BYTES: count(10 * 1024 * 1024, 1, 100 * 1024 * 1024, 'bytes'),
  NEARSIDE_API_KEYS: z
    .string()
    .transform(splitList)
    .pipe(z.array(z.string().regex(/^[0-9a-f]{64}$/i)))
    .default([])
    .describe('the SHA-256 digests of API keys, 64 hex digits each, separated by commas or spaces'),
  NEARSIDE_DEV: z.enum(['0', '1']).default('0').describe('0 or 1'),
});

/** Parses all settings. Empty variables count as absent. Throws `ConfigError` for the first that is wrong. */
export function parseConfig(env: Env): Config {
  const given = Object.fromEntries(
    Object.keys(variables.shape).flatMap((name) => {
      const value = env[name as `NEARSIDE_${string}`];
      return value === undefined || value.trim() === '' ? [] : [[name, value.trim()]];
    }),
  );
  const parsed = variables.safeParse(given);
  if (!parsed.success) throw wrongVariable(String(parsed.error.issues[0]!.path[0]));
  const vars = parsed.data;
  const config: Config = {
    edge: {
      model: vars.NEARSIDE_EDGE_MODEL ?? null,
      maxPromptTokens: vars.NEARSIDE_EDGE_MAX_PROMPT_TOKENS,
      maxTokens: vars.NEARSIDE_EDGE_MAX_TOKENS,
    },
    origin: originConfig(vars),
    http: {
      maxBodyBytes: vars.NEARSIDE_MAX_BODY_BYTES,
      keepAliveMs: vars.NEARSIDE_KEEPALIVE_MS,
      commitAfterMs: vars.NEARSIDE_COMMIT_AFTER_MS,
    },
    access: {
      keyDigests: vars.NEARSIDE_API_KEYS.map((hex) => Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16))),
      open: vars.NEARSIDE_DEV === '1',
    },
  };
  const names = ['nearside-auto', config.edge.model, config.origin?.model].filter((name) => name);
  if (new Set(names).size < names.length) {
    throw new ConfigError(
      'NEARSIDE_EDGE_MODEL and NEARSIDE_ORIGIN_MODEL must be two different names, and not nearside-auto: a name chooses the route.',
    );
  }
  return config;
}

function originConfig(vars: z.output<typeof variables>): OriginConfig | null {
  const { NEARSIDE_ORIGIN_URL: url, NEARSIDE_ORIGIN_MODEL: model } = vars;
  if (!url) {
    if (model) throw new ConfigError('NEARSIDE_ORIGIN_MODEL is set but NEARSIDE_ORIGIN_URL is not: set both, or neither for no origin.');
    return null;
  }
  if (!model)
    throw new ConfigError('NEARSIDE_ORIGIN_URL is set but NEARSIDE_ORIGIN_MODEL is not: set it to the model name the origin serves.');
  return {
    url: url.replace(/\/+$/, ''),
    model,
    key: vars.NEARSIDE_ORIGIN_KEY ?? null,
    timeouts: {
      headers: vars.NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS,
      firstToken: vars.NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS,
      idle: vars.NEARSIDE_ORIGIN_IDLE_TIMEOUT_MS,
      total: vars.NEARSIDE_ORIGIN_TOTAL_TIMEOUT_MS,
    },
  };
}

/** Values are not repeated: one of them could be a secret in the wrong place. */
function wrongVariable(name: string): ConfigError {
  const expected = variables.shape[name as keyof typeof variables.shape].description;
  return new ConfigError(`${name} is not valid: it must be ${expected}.`);
}

function isBaseUrl(value: string): boolean {
  const url = URL.parse(value);
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    /\/v1\/*$/.test(url.pathname) &&
    `${url.search}${url.hash}${url.username}${url.password}` === ''
  );
}

function splitList(value: string): string[] {
  return value.split(/[\s,]+/).filter((entry) => entry !== '');
}
