import type { EngineJob, Turns } from './measurement.ts';
import { LLAMACPP, NODE, WORKERD } from './ratios.ts';
import { CACHE_HIT, decodeAt, PREFILL, SHORT } from './suite.ts';

/** What one engine does in a round. */
interface Figure {
  engine: string;
  threads: number;
  job: EngineJob;
}

/** Figures that take turns, and which of them are compared. */
interface Group {
  figures: Record<string, Figure>;
  /** Names of ratios, and the figures they are of and over. */
  compared: [name: string, of: string, over: string][];
  quick: boolean;
}

const on = (engine: string, job: EngineJob, threads = 1): Figure => ({ engine, threads, job });
const DECODE = decodeAt(64);
const READ: EngineJob = { name: 'read' };

const GROUPS: Group[] = [
  {
    figures: { workerd: on(WORKERD, DECODE), llamacpp: on(LLAMACPP, DECODE), read: on(WORKERD, READ) },
    compared: [
      ['decode_workerd_vs_llamacpp', 'workerd', 'llamacpp'],
      ['decode_workerd_vs_roofline', 'workerd', 'read'],
    ],
    quick: true,
  },
  {
    figures: { workerd: on(WORKERD, PREFILL), llamacpp: on(LLAMACPP, PREFILL), node: on(NODE, PREFILL) },
    compared: [
      ['prefill_workerd_vs_llamacpp', 'workerd', 'llamacpp'],
      ['prefill_node_vs_llamacpp', 'node', 'llamacpp'],
    ],
    quick: true,
  },
  {
    figures: { short: on(WORKERD, DECODE), long: on(WORKERD, decodeAt(2048)) },
    // Of times, so the speeds change places.
    compared: [['decode_context_2048_vs_64', 'short', 'long']],
    quick: false,
  },
  {
    figures: { short: on(NODE, DECODE), long: on(NODE, decodeAt(2048)) },
    compared: [['decode_context_2048_vs_64_node', 'short', 'long']],
    quick: false,
  },
  {
    figures: { one: on(NODE, DECODE), two: on(NODE, DECODE, 2), read: on(NODE, READ, 2) },
    compared: [
      ['threads_2_vs_1', 'two', 'one'],
      ['read_2_threads_vs_decode_1', 'read', 'one'],
    ],
    quick: false,
  },
  {
    figures: { one: on(WORKERD, DECODE), four: on(WORKERD, decodeAt(64, 4)) },
    compared: [['batch_4_vs_1_workerd', 'four', 'one']],
    quick: false,
  },
  {
    figures: { one: on(NODE, DECODE), four: on(NODE, decodeAt(64, 4)) },
    compared: [['batch_4_vs_1_node', 'four', 'one']],
    quick: false,
  },
  {
    // What npm run edge-node has on two processors.
    figures: { one: on(NODE, DECODE, 2), four: on(NODE, decodeAt(64, 4), 2) },
    compared: [['batch_4_vs_1_node_2_threads', 'four', 'one']],
    quick: false,
  },
  {
    figures: { hit: on(WORKERD, CACHE_HIT), short: on(WORKERD, SHORT) },
    compared: [['prefix_hit_ttft_vs_short', 'hit', 'short']],
    quick: false,
  },
];

/** Asks an engine for a figure; null when it does not run. */
export type Ask = (engine: string, threads: number, job: EngineJob) => Promise<number | null>;

/**
 * Measures every ratio that is taken by turns: the figures of a group one after the other, as often as there are `rounds`, after a round that does not count. What an engine that
 * does not run would have measured is left out.
 */
export async function measureTurns(ask: Ask, rounds: number, quick: boolean, onTurns: (turns: Turns) => void): Promise<void> {
  for (const { figures, compared } of GROUPS.filter((group) => !quick || group.quick)) {
    const samples = Object.fromEntries(Object.keys(figures).map((key) => [key, [] as number[]]));
    for (let round = 0; round <= rounds; round++) {
      for (const [key, { engine, threads, job }] of Object.entries(figures)) {
        const value = await ask(engine, threads, job);
        if (value !== null && round > 0) samples[key]!.push(value);
      }
    }
    for (const [name, of, over] of compared) {
      if (samples[of]!.length === rounds && samples[over]!.length === rounds) onTurns({ name, of: samples[of]!, over: samples[over]! });
    }
  }
}
