import { z } from 'zod';
import { decodePlan, type PlacedPlan } from '../../wasm/engine/pipeline/encode-plan.ts';

/** Settings as the platform hands them over. */
export interface EdgeVariables {
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
  /** How much of that evaluated prompt prefixes may take; 0 for no prefix cache, null to go by what the weights leave. */
  prefixCacheBytes: number | null;
  /** Of the pipeline whose stages hold the model; null when the engine holds it itself. */
  plan: PlacedPlan | null;
  /** Batches on their way at once: more than one where stages compute at the same time. */
  turns: number;
  /** How many of these may be answers' next tokens. */
  answerTurns: number;
  /** Longest wait for a client that stays connected and does not read, milliseconds. */
  stallMs: number;
}

/** A whole number; the error completes the sentence "it must be ...". */
const whole = (min: number, max: number) => {
  const error = `a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};
const count = (fallback: number, min: number, max: number) => whole(min, max).default(fallback);

const variables = z.object({
  NEARSIDE_EDGE_PACK: z.string().default('assets:'),
  NEARSIDE_EDGE_SESSIONS: count(4, 1, 64),
  NEARSIDE_EDGE_QUEUE: count(8, 0, 1000),
  // An isolate on Cloudflare has 128 MB for everything; the rest is for JavaScript.
  NEARSIDE_EDGE_MEMORY_BYTES: count(100_000_000, 1, 4 * 1024 ** 3),
  NEARSIDE_EDGE_PREFIX_CACHE_BYTES: whole(0, 4 * 1024 ** 3).optional(),
  NEARSIDE_EDGE_PLACEMENT: z.enum(['worker', 'pipeline'], { error: 'worker or pipeline' }).default('worker'),
  NEARSIDE_EDGE_PLAN: z.string().optional(),
  NEARSIDE_EDGE_TURNS: whole(1, 64).optional(),
  NEARSIDE_EDGE_STALL_MS: count(30_000, 1, 3_600_000),
});

/** Parses the engine's settings; throws an Error that names the first variable that is wrong. */
export function parseEdgeConfig(env: EdgeVariables): EdgeConfig {
  const parsed = variables.safeParse(
    Object.fromEntries(Object.keys(variables.shape).map((name) => [name, env[name as `NEARSIDE_${string}`] || undefined])),
  );
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new Error(`${String(issue.path[0])} is not valid: it must be ${issue.message}.`);
  }
  const vars = parsed.data;
  const assets = vars.NEARSIDE_EDGE_PACK.startsWith('assets:');
  const placed = vars.NEARSIDE_EDGE_PLACEMENT === 'pipeline' ? decodePlan(vars.NEARSIDE_EDGE_PLAN ?? '') : null;
  const prefix = (assets ? vars.NEARSIDE_EDGE_PACK.slice('assets:'.length) : vars.NEARSIDE_EDGE_PACK).replace(/^\/+|\/+$/g, '');
  return {
    pack: { from: assets ? 'assets' : 'r2', prefix },
    sessions: Math.min(vars.NEARSIDE_EDGE_SESSIONS, placed?.sessions ?? vars.NEARSIDE_EDGE_SESSIONS),
    queue: vars.NEARSIDE_EDGE_QUEUE,
    maxBytes: vars.NEARSIDE_EDGE_MEMORY_BYTES,
    // Cached prefixes take the place of sessions that are not there, and give way to those that come.
    prefixCacheBytes: vars.NEARSIDE_EDGE_PREFIX_CACHE_BYTES ?? (placed && placed.stateBytes / 2),
    plan: placed,
    ...turnsOf(placed, vars.NEARSIDE_EDGE_TURNS),
    stallMs: vars.NEARSIDE_EDGE_STALL_MS,
  };
}

/**
 * A prompt is cut for all stages of layers, as its chunks lose nothing by that. Answers that go apart no longer share the reading of weights: two batches were measured to be faster than
 * one or four, with two processors.
 */
function turnsOf(plan: PlacedPlan | null, asked: number | undefined): Pick<EdgeConfig, 'turns' | 'answerTurns'> {
  const stages = Math.max(1, plan?.stages.filter(({ spec }) => !spec.head).length ?? 1);
  const answerTurns = asked ?? Math.min(2, stages);
  return { turns: answerTurns === 1 ? 1 : Math.max(answerTurns, stages), answerTurns };
}
