import { z } from 'zod';

/** Bindings and variables of the engine Worker (worker/edge/wrangler.toml). */
export interface EdgeEnv {
  MODELS?: R2Bucket;
  ASSETS?: Fetcher;
  [variable: `NEARSIDE_${string}`]: string | undefined;
}

export interface EdgeConfig {
  /** Where the pack lies: `assets:PREFIX` in the static assets, or a prefix in the R2 bucket. Prefixes may be empty. */
  pack: { from: 'assets' | 'r2'; prefix: string };
  /** Requests that run at once, and that may wait. */
  sessions: number;
  queue: number;
  /** Most bytes the engine's memory may take. */
  maxBytes: number;
}

const count = (fallback: number, min: number, max: number) => z.coerce.number().int().min(min).max(max).default(fallback);

const variables = z.object({
  NEARSIDE_EDGE_PACK: z.string().default('assets:'),
  NEARSIDE_EDGE_SESSIONS: count(4, 1, 64),
  NEARSIDE_EDGE_QUEUE: count(8, 0, 1000),
  // An isolate on Cloudflare has 128 MB for everything; the rest is for JavaScript.
  NEARSIDE_EDGE_MEMORY_BYTES: count(100_000_000, 1, 4 * 1024 ** 3),
});

/** Parses the engine's settings; throws an Error that names the first variable that is wrong. */
export function parseEdgeConfig(env: EdgeEnv): EdgeConfig {
  const parsed = variables.safeParse(
    Object.fromEntries(Object.keys(variables.shape).map((name) => [name, env[name as `NEARSIDE_${string}`] || undefined])),
  );
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new Error(`${String(issue.path[0])} is not valid: ${issue.message}.`);
  }
  const vars = parsed.data;
  const assets = vars.NEARSIDE_EDGE_PACK.startsWith('assets:');
  const prefix = (assets ? vars.NEARSIDE_EDGE_PACK.slice('assets:'.length) : vars.NEARSIDE_EDGE_PACK).replace(/^\/+|\/+$/g, '');
  return {
    pack: { from: assets ? 'assets' : 'r2', prefix },
    sessions: vars.NEARSIDE_EDGE_SESSIONS,
    queue: vars.NEARSIDE_EDGE_QUEUE,
    maxBytes: vars.NEARSIDE_EDGE_MEMORY_BYTES,
  };
}
