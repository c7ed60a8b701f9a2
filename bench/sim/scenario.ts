import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { EdgePrice } from '../../worker/routing/figures.ts';
import { edgePrices, type Place } from '../../worker/routing/prices.ts';

const positive = z.number().positive();
const share = z.number().min(0).max(1);

/**
 * The edge. Rates: Qwen3.5-0.8B at q4_0 in workerd on one core of a two-core server, `npm run bench -- engine` and `edge` on 2026-11-21 (decode 28 to 33, loading
 * 0.7 to 1.4 s; four sequences together 1.7 times the tokens of one).
 */
const edge = z.strictObject({
  replicas: z.int().min(1).default(1),
  /** Tokens per second of a prompt, and of an answer that is alone. */
  prefill: positive.default(84),
  decode: positive.default(30),
  /** Tokens per second of four answers together, in those of one. */
  batchOf4: z.number().min(1).max(4).default(1.7),
  loadMs: positive.default(1_000),
  /** An object without requests is evicted after so many seconds, and loads anew. */
  evictSeconds: positive.default(120),
  /** From the gateway to the engine and back. */
  roundTripMs: z.number().min(0).default(5),
  slots: z.int().min(1).default(4),
  queue: z.int().min(0).default(8),
  maxPromptTokens: z.int().min(1).default(256),
  maxTokens: z.int().min(1).default(128),
  /** Blocks of prefixes that a replica keeps. */
  cacheBlocks: z.int().min(0).default(200),
  place: z.enum(Object.keys(edgePrices) as [Place, ...Place[]]).default('durable-object'),
  /** Objects of a pipeline, where the place is `durable-object`. */
  objects: z.int().min(1).default(6),
  /** The first tokens are held back and judged. */
  gate: z.boolean().default(true),
});

/**
 * The pool. Rates are an assumption, computed for a 9B model with 16-bit weights (18 GB) on a 24 GB card with 1 TB/s and 165 TFLOP/s: 18 ms to read the weights, 2
 * for the rest; 18 GFLOP a token at half of the peak is 4,600 tokens/s; 32 kB of keys and values a token (qwen35: 8 layers of 4 heads of 256) in the 4 GB left.
 */
const origin = z.strictObject({
  roundTripMs: positive.default(40),
  /** Of a prompt, tokens per second. */
  prefill: positive.default(4_600),
  /** Of an iteration with one answer, and what each further one adds. */
  tpotMs: positive.default(20),
  tpotMsPerSequence: z.number().min(0).default(0.35),
  /** Most sequences of a node, and most tokens of theirs. */
  slots: z.int().min(1).default(32),
  kvTokens: positive.default(120_000),
  cacheBlocks: z.int().min(0).default(2_000),
  /** Of a node: `unknownOriginPrice`. */
  usdPerHour: z.number().min(0).default(1),
  minNodes: z.int().min(0).default(1),
  maxNodes: z.int().min(1).default(1),
  /** Nodes that are up at the beginning; null: `minNodes`. */
  startNodes: z.int().min(0).nullable().default(null),
  startSeconds: positive.default(120),
  /** A node without work is let go after so many seconds, down to `minNodes`. */
  keepSeconds: positive.default(300),
  /** Nobody answers in this part of the time. */
  dead: z.tuple([share, share]).nullable().default(null),
  /** Requests that nobody has answered for so long fail. Where a pool is scaled to zero it must be longer than a start. */
  timeoutSeconds: positive.default(180),
});

export const scenarioSchema = z.strictObject({
  title: z.string(),
  /** Arrivals: a trace is played faster or slower to have so many. */
  requestsPerSecond: positive,
  /** Of the API mix, the part that only an origin can answer (tools, long prompts). */
  originOnlyShare: share.default(0.1),
  /** Requests of one run, and independent runs: an interval comes from these. */
  requests: z.int().min(1).default(300),
  runs: z.int().min(2).default(24),
  /** Gateways that each know what they have seen themselves. */
  isolates: z.int().min(1).default(2),
  edge: edge.prefault({}),
  origin: origin.prefault({}),
});

export type Scenario = z.output<typeof scenarioSchema> & { name: string };

const folder = new URL('./scenarios/', import.meta.url);

/** Names of the scenarios that come with the repository, in the order of the report. */
export const scenarioNames = ['warm', 'zero', 'saturated', 'far', 'dead', 'tiny', 'heavy'] as const;

/** A scenario by its name or its file. Throws with the first setting that is wrong. */
export function readScenario(nameOrFile: string): Scenario {
  const isOurs = readdirSync(folder).includes(`${nameOrFile}.json`);
  const file = isOurs ? new URL(`${nameOrFile}.json`, folder) : nameOrFile;
  const parsed = scenarioSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`The scenario ${nameOrFile} is not valid: ${issue!.path.join('.')}: ${issue!.message}.`);
  }
  const name = isOurs ? nameOrFile : nameOrFile.replace(/^.*\//, '').replace(/\.json$/, '');
  return { name, ...parsed.data };
}

/** What the edge's place bills in this scenario. */
export function edgePriceOf({ place, objects }: Scenario['edge']): EdgePrice {
  const price = edgePrices[place];
  return price.by === 'duration' ? { ...price, objects } : price;
}

/** Whether the pool has no node when nobody asks. */
export const scalesToZero = ({ minNodes }: Scenario['origin']): boolean => minNodes === 0;
