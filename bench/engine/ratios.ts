import type { Measurements, Spread } from './measurement.ts';

/** The model and the engines' names in measurements. */
export const MODEL = '0.8b';
export const WORKERD = 'nearside (workerd)';
export const NODE = 'nearside (Node)';
export const LLAMACPP = 'llama.cpp (native)';
export const WLLAMA = ['wllama Q4_0', 'wllama Q4_K'];
export const ORT = 'onnxruntime-web (matmuls)';

/** What a session, the tokenizer and JavaScript may take beside the weights. */
const MEMORY_ALLOWANCE = 24e6;

export interface Ratio {
  value: number | null;
  /** The bound to keep and the one to reach for; `atMost` says on which side of them is good. */
  must: number;
  aim: number;
  atMost: boolean;
  /** Of a ratio that was measured by turns: its value in each pair. */
  spread?: Spread;
  /** Why there is no value. */
  reason?: string;
}

export const RATIO_KEYS = [
  'decode_workerd_vs_llamacpp',
  'decode_workerd_vs_wllama',
  'decode_workerd_vs_ort',
  'decode_workerd_vs_roofline',
  'prefill_workerd_vs_llamacpp',
  'prefill_node_vs_llamacpp',
  'decode_context_2048_vs_64',
  'threads_2_vs_1',
  'batch_4_vs_1_workerd',
  'batch_4_vs_1_node',
  'memory_vs_pack',
  'load_seconds',
  'prefix_hit_ttft_vs_short',
  'event_loop_hold_ms',
] as const;

export type RatioKey = (typeof RATIO_KEYS)[number];

/** Computes every ratio of a run: by turns (turns.ts), but those to peers too slow for it of medians; one whose figures are missing is null and says so. */
export function ratios(run: Measurements): Record<RatioKey, Ratio> {
  const of = (engine: string, metric: Parameters<Measurements['median']>[3], at: string | number, threads = 1) =>
    run.median(engine, MODEL, threads, metric, at);
  const decode = of(WORKERD, 'decode', 64);
  const wllama = WLLAMA.map((engine) => of(engine, 'decode', 64)).filter((value) => value !== null);
  const holds = run.all.filter(
    ({ engine, model, metric, at }) => engine === WORKERD && model === MODEL && metric === 'hold_ms' && at !== 'idle',
  );
  const held = sum(of(WORKERD, 'wasm_bytes', '512-token session'), of(WORKERD, 'heap_bytes', '512-token session'));
  const values: Partial<Record<RatioKey, number | null>> = {
    decode_workerd_vs_wllama: over(decode, wllama.length > 0 ? Math.max(...wllama) : null),
    decode_workerd_vs_ort: over(decode, of(ORT, 'decode', 64)),
    memory_vs_pack: over(held === null ? null : held - MEMORY_ALLOWANCE, of(WORKERD, 'weight_bytes', 'pack')),
    load_seconds: of(WORKERD, 'load_s', 'R2'),
    event_loop_hold_ms: holds.length > 0 ? Math.max(...holds.map(({ at }) => of(WORKERD, 'hold_ms', at)!)) : null,
  };
  const targets = targetsOf(run);
  return Object.fromEntries(
    RATIO_KEYS.map((key) => {
      const pairs = run.compared(key);
      const value = values[key] ?? pairs?.median ?? null;
      const missing = value === null ? { reason: 'a figure it needs was not measured in this run' } : {};
      return [key, { value, ...targets[key], ...(pairs && { spread: pairs }), ...missing }];
    }),
  ) as Record<RatioKey, Ratio>;
}

function targetsOf(run: Measurements): Record<RatioKey, Omit<Ratio, 'value'>> {
  const atLeast = (must: number, aim: number) => ({ must, aim, atMost: false });
  const atMost = (must: number, aim: number) => ({ must, aim, atMost: true });
  // Two threads can be no faster than memory: 80 % of what two threads read is enough where that is less than 1.75 times.
  const readTwo = run.compared('read_2_threads_vs_decode_1');
  return {
    decode_workerd_vs_llamacpp: atLeast(1.2, 1.8),
    decode_workerd_vs_wllama: atLeast(6, 10),
    decode_workerd_vs_ort: atLeast(40, 70),
    decode_workerd_vs_roofline: atLeast(0.55, 0.8),
    prefill_workerd_vs_llamacpp: atLeast(0.6, 1),
    prefill_node_vs_llamacpp: atLeast(1, 1.5),
    decode_context_2048_vs_64: atMost(1.25, 1.1),
    threads_2_vs_1: atLeast(Math.min(1.75, readTwo ? 0.8 * readTwo.median : 1.75), 1.9),
    batch_4_vs_1_workerd: atLeast(1.4, 2),
    batch_4_vs_1_node: atLeast(2, 3),
    memory_vs_pack: atMost(1.12, 1.06),
    load_seconds: atMost(1, 0.5),
    prefix_hit_ttft_vs_short: atMost(1.3, 1.1),
    event_loop_hold_ms: atMost(60, 30),
  };
}

/** Whether a ratio keeps its bound; null when it was not measured. */
export function verdict({ value, must, aim, atMost }: Ratio): 'aim' | 'must' | 'missed' | null {
  if (value === null) return null;
  const reaches = (bound: number) => (atMost ? value <= bound : value >= bound);
  return reaches(aim) ? 'aim' : reaches(must) ? 'must' : 'missed';
}

const over = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a / b);
const sum = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b);
