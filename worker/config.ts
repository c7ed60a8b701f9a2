import { z } from 'zod';
import {
  noPolicySettings,
  type PolicySettings,
  parseEdgePrice,
  parseKeyPolicies,
  parsePolicySettings,
} from './decision/policy-settings.ts';
import { type Region, regions } from './edge/replicas.ts';
import { ConfigError, endpointKinds, isBaseUrl, type OriginTimeouts, type PoolConfig, parsePools } from './origin/pool-config.ts';
import { isGiven, originTimeouts, singleOrigin } from './origin/single-origin.ts';
import type { EdgePrice } from './routing/figures.ts';

export { ConfigError };

/** Bindings and variables as the platform hands them over. Read here and in the composition root only. */
export interface Env {
  /** Namespace of the engine's `EdgeModel` objects (script nearside-edge). Without it there is no edge route. */
  EDGE_MODEL?: DurableObjectNamespace;
  /** Namespace of the `OriginMonitor` objects, which watch the endpoints' load. Without it the gateway goes by what it sees itself. */
  ORIGIN_MONITOR?: DurableObjectNamespace;
  /** Store of the list of pools (key `origins`), for lists that change without a deployment. Without it, or without the key, NEARSIDE_ORIGINS counts. */
  ORIGINS?: KVNamespace;
  /** Client to fetch images through: a network that reaches public addresses and no others. Without it, the gateway's own. */
  IMAGE_NETWORK?: Fetcher;
  /** The difficulty Worker (worker/difficulty/wrangler.toml). */
  DIFFICULTY?: Fetcher;
  /** Clients to fetch an endpoint through, by reference from the list of pools. */
  [binding: `ORIGIN_${string}`]: unknown;
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
    /** An engine that runs as a server of its own, instead of the EDGE_MODEL binding. */
    server: { url: string; key: string | null } | null;
    /** Where its replicas are, by location hint, and how many in each; none: one place, wherever the first request comes from. */
    regions: Region[];
    replicas: number;
    /** Who shares evaluated prompt prefixes: the calls of one API key, everyone, or nobody. */
    prefixCache: 'key' | 'shared' | 'off';
    price: EdgePrice;
  };
  origins: {
    /** Pools by the settings, the preferred one first. */
    pools: PoolConfig[];
    /** Reads a list of pools from elsewhere, with the same references and defaults. Throws `ConfigError`. */
    parse(value: unknown, source: string): PoolConfig[];
    /** Pause between two looks at the endpoints' load, and between two readings of what was seen, milliseconds. */
    pollMs: number;
  };
  images: {
    /** Of one file, bytes. */
    maxBytes: number;
    /** Of all that are sent as data, bytes: what a client could send itself. */
    maxTotalBytes: number;
    /** Images in a request. */
    maxCount: number;
    /** Width times height. */
    maxPixels: number;
    /** Of audio, video and files: of one file in bytes, and how many in a request. */
    media: { maxBytes: number; maxCount: number };
    /** Remote images are fetched here instead of by the origin, within `timeoutMs` each. */
    fetch: boolean;
    timeoutMs: number;
    /** Server for DNS over HTTPS, to look a name's addresses up before anything is fetched from it; null for none. */
    dns: string | null;
  };
  policies: {
    deployment: PolicySettings;
    /** By the key's place in `access.keyDigests`. */
    keys: Map<number, PolicySettings>;
  };
  /** The DIFFICULTY Worker is asked how hard a prompt is. */
  difficulty: boolean;
  /** The region the gateway is in; null to go by where requests come from. */
  region: string | null;
  http: { maxBodyBytes: number; keepAliveMs: number; commitAfterMs: number };
  access: {
    /** SHA-256 digests of the API keys, 32 bytes each. */
    keyDigests: Uint8Array[];
    /** Development: without keys, everyone may call. */
    open: boolean;
  };
}

/** A whole number; the description completes the sentence "it must be ...". */
const whole = (min: number, max: number, unit: string) =>
  z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max)
    .describe(`a whole number of ${unit} from ${min} to ${max}`);
const count = (fallback: number, min: number, max: number, unit: string) => {
  const schema = whole(min, max, unit);
  return schema.default(fallback).describe(schema.description!);
};
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
  NEARSIDE_EDGE_URL: z
    .string()
    .regex(/^https?:\/\/[^\s?#@]+$/)
    .optional()
    .describe('an http or https URL without credentials or query'),
  NEARSIDE_EDGE_KEY: token,
  NEARSIDE_EDGE_PREFIX_CACHE: z.enum(['key', 'shared', 'off']).default('key').describe('key, shared or off'),
  NEARSIDE_ORIGIN_URL: z
    .string()
    .refine(isBaseUrl)
    .optional()
    .describe('an http or https URL that ends in /v1, without credentials or query'),
  NEARSIDE_ORIGIN_MODEL: token,
  NEARSIDE_ORIGIN_KEY: token,
  NEARSIDE_ORIGIN_KIND: z
    .enum(endpointKinds)
    .default('openai')
    .describe(`one of ${endpointKinds.join(', ')}`),
  NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS: milliseconds(30_000),
  NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS: milliseconds(60_000),
  NEARSIDE_ORIGIN_IDLE_TIMEOUT_MS: milliseconds(30_000),
  NEARSIDE_ORIGIN_TIMEOUT_MS_PER_1K_TOKENS: count(1_000, 0, 60_000, 'milliseconds'),
  NEARSIDE_ORIGIN_THINKING_TIMEOUT_MS: whole(1, 3_600_000, 'milliseconds').optional(),
  NEARSIDE_ORIGIN_TOTAL_TIMEOUT_MS: milliseconds(600_000),
  NEARSIDE_ORIGIN_POLL_MS: count(1_500, 10, 60_000, 'milliseconds'),
  NEARSIDE_IMAGE_MAX_BYTES: count(8 * 1024 * 1024, 1, 100 * 1024 * 1024, 'bytes'),
  NEARSIDE_IMAGE_MAX_COUNT: count(16, 1, 1_000, 'images'),
  NEARSIDE_IMAGE_MAX_PIXELS: count(50_000_000, 1, 1_000_000_000, 'pixels'),
  NEARSIDE_MEDIA_MAX_BYTES: count(8 * 1024 * 1024, 1, 100 * 1024 * 1024, 'bytes'),
  NEARSIDE_MEDIA_MAX_COUNT: count(16, 1, 1_000, 'files'),
  NEARSIDE_FETCH_IMAGES: z.enum(['0', '1']).default('0').describe('0 or 1'),
  NEARSIDE_IMAGE_TIMEOUT_MS: milliseconds(10_000),
  NEARSIDE_IMAGE_DNS: z
    .string()
    .regex(/^https:\/\/[^\s?#@]+$/)
    .optional()
    .describe('an https URL without credentials or query'),
  NEARSIDE_DIFFICULTY: z.enum(['0', '1']).default('0').describe('0 or 1'),
  NEARSIDE_EDGE_REGIONS: z
    .string()
    .transform(splitList)
    .pipe(z.array(z.enum(regions)))
    .default([])
    .describe(`a list of ${regions.join(', ')}`),
  NEARSIDE_EDGE_REPLICAS: count(1, 1, 16, 'replicas'),
  NEARSIDE_REGION: token,
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
  const timeouts = originTimeouts(vars);
  const keyDigests = vars.NEARSIDE_API_KEYS.map((hex) => Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16)));
  const references = {
    secret: (name: string) => env[name as `NEARSIDE_${string}`],
    hasBinding: (name: string) => typeof (env[name as `ORIGIN_${string}`] as Fetcher | undefined)?.fetch === 'function',
    timeouts,
  };
  const parse = (value: unknown, source: string) => withoutName(parsePools(value, source, references), vars.NEARSIDE_EDGE_MODEL, source);
  const config: Config = {
    edge: {
      model: vars.NEARSIDE_EDGE_MODEL ?? null,
      maxPromptTokens: vars.NEARSIDE_EDGE_MAX_PROMPT_TOKENS,
      maxTokens: vars.NEARSIDE_EDGE_MAX_TOKENS,
      server: vars.NEARSIDE_EDGE_URL ? { url: vars.NEARSIDE_EDGE_URL, key: vars.NEARSIDE_EDGE_KEY ?? null } : null,
      regions: [...new Set(vars.NEARSIDE_EDGE_REGIONS)],
      replicas: vars.NEARSIDE_EDGE_REPLICAS,
      prefixCache: vars.NEARSIDE_EDGE_PREFIX_CACHE,
      price: parseEdgePrice(env.NEARSIDE_EDGE_PRICE, vars.NEARSIDE_EDGE_URL !== undefined),
    },
    origins: { pools: originPools(vars, env, timeouts, parse), parse, pollMs: vars.NEARSIDE_ORIGIN_POLL_MS },
    images: {
      maxBytes: vars.NEARSIDE_IMAGE_MAX_BYTES,
      // Base64 has four characters for three bytes.
      maxTotalBytes: Math.floor((vars.NEARSIDE_MAX_BODY_BYTES * 3) / 4),
      maxCount: vars.NEARSIDE_IMAGE_MAX_COUNT,
      maxPixels: vars.NEARSIDE_IMAGE_MAX_PIXELS,
      media: { maxBytes: vars.NEARSIDE_MEDIA_MAX_BYTES, maxCount: vars.NEARSIDE_MEDIA_MAX_COUNT },
      fetch: vars.NEARSIDE_FETCH_IMAGES === '1',
      timeoutMs: vars.NEARSIDE_IMAGE_TIMEOUT_MS,
      dns: vars.NEARSIDE_IMAGE_DNS ?? null,
    },
    policies: {
      deployment: isGiven(env.NEARSIDE_POLICY) ? parsePolicySettings(env.NEARSIDE_POLICY, 'NEARSIDE_POLICY') : noPolicySettings,
      keys: isGiven(env.NEARSIDE_KEY_POLICIES) ? parseKeyPolicies(env.NEARSIDE_KEY_POLICIES, keyDigests) : new Map(),
    },
    difficulty: vars.NEARSIDE_DIFFICULTY === '1',
    region: vars.NEARSIDE_REGION ?? null,
    http: {
      maxBodyBytes: vars.NEARSIDE_MAX_BODY_BYTES,
      keepAliveMs: vars.NEARSIDE_KEEPALIVE_MS,
      commitAfterMs: vars.NEARSIDE_COMMIT_AFTER_MS,
    },
    access: {
      keyDigests,
      open: vars.NEARSIDE_DEV === '1',
    },
  };
  if (config.edge.model === 'nearside-auto') throw sameNames();
  if (config.difficulty && typeof env.DIFFICULTY?.fetch !== 'function') {
    throw new ConfigError(
      'NEARSIDE_DIFFICULTY is 1 and there is no service bound as DIFFICULTY: deploy worker/difficulty/wrangler.toml and bind it.',
    );
  }
  return config;
}

export type Variables = z.output<typeof variables>;

/** The origin of NEARSIDE_ORIGIN_URL, as a pool of one, and the pools of NEARSIDE_ORIGINS. */
function originPools(vars: Variables, env: Env, timeouts: OriginTimeouts, parse: Config['origins']['parse']): PoolConfig[] {
  const single = singleOrigin(vars, env.NEARSIDE_ORIGIN_PRICE, timeouts);
  const pools = isGiven(env.NEARSIDE_ORIGINS) ? parse(env.NEARSIDE_ORIGINS, 'NEARSIDE_ORIGINS') : [];
  if (!single) return pools;
  if (single.model === vars.NEARSIDE_EDGE_MODEL || single.model === 'nearside-auto') throw sameNames();
  if (pools.some((pool) => pool.model === single.model)) {
    throw new ConfigError('NEARSIDE_ORIGINS has a pool of the same model as NEARSIDE_ORIGIN_MODEL: keep one of the two.');
  }
  return [single, ...pools];
}

function withoutName(pools: PoolConfig[], edgeModel: string | undefined, source: string): PoolConfig[] {
  const same = pools.find((pool) => pool.model === edgeModel);
  if (same)
    throw new ConfigError(
      `${source}: pool "${same.model}" has the name of NEARSIDE_EDGE_MODEL: a name chooses the route, so give one another.`,
    );
  return pools;
}

const sameNames = () =>
  new ConfigError(
    'NEARSIDE_EDGE_MODEL and NEARSIDE_ORIGIN_MODEL must be two different names, and not nearside-auto: a name chooses the route.',
  );

/** Values are not repeated: one of them could be a secret in the wrong place. */
function wrongVariable(name: string): ConfigError {
  const expected = variables.shape[name as keyof typeof variables.shape].description;
  return new ConfigError(`${name} is not valid: it must be ${expected}.`);
}

function splitList(value: string): string[] {
  return value.split(/[\s,]+/).filter((entry) => entry !== '');
}
