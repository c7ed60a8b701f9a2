import { expect, test } from 'vitest';
import { type Measurement, Measurements } from '../../../bench/engine/measurement.ts';
import { LLAMACPP, MODEL, ratios, verdict, WORKERD } from '../../../bench/engine/ratios.ts';

/** Others read these from the JSON: a key that changes its name is missed by them. */
const KEYS = [
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
];

function runOf(
  ...measurements: [engine: string, metric: Measurement['metric'], at: string | number, samples: number[], threads?: number][]
) {
  const run = new Measurements();
  for (const [engine, metric, at, samples, threads = 1] of measurements) run.add({ engine, model: MODEL, threads, metric, at, samples });
  return run;
}

test('a ratio to a slow peer compares medians, over all rounds of a figure, with the best of its files', () => {
  const run = runOf(
    [WORKERD, 'decode', 64, [10, 30]],
    [WORKERD, 'decode', 64, [20]],
    ['wllama Q4_0', 'decode', 64, [3, 4, 5]],
    ['wllama Q4_K', 'decode', 64, [10, 10, 100]],
    ['wllama Q4_K', 'decode', 64, [50], 2],
  );
  expect(ratios(run).decode_workerd_vs_wllama.value).toBe(2);
});

test('a ratio measured by turns is the median of its pairs, over all rounds, whatever the medians of its figures are', () => {
  const run = runOf([WORKERD, 'decode', 64, [100]], [LLAMACPP, 'decode', 64, [10]]);
  run.addTurns({ name: 'decode_workerd_vs_llamacpp', of: [10, 40], over: [10, 20] });
  run.addTurns({ name: 'decode_workerd_vs_llamacpp', of: [30], over: [10] });
  const { value, spread } = ratios(run).decode_workerd_vs_llamacpp;
  expect(value).toBe(2);
  expect(spread).toEqual({ median: 2, low: 1, high: 3, samples: 3 });
});

test('a ratio whose figures are missing is null and says why; all keys are there', () => {
  const all = ratios(new Measurements());
  expect(Object.keys(all)).toEqual(KEYS);
  expect(Object.values(all).every(({ value, reason }) => value === null && reason)).toBe(true);
});

test('figures that were measured apart make no ratio that is to be measured by turns', () => {
  const run = runOf([WORKERD, 'decode', 64, [12]], [WORKERD, 'decode', 2048, [10]], [LLAMACPP, 'decode', 64, [10]]);
  const { decode_context_2048_vs_64, decode_workerd_vs_llamacpp } = ratios(run);
  expect([decode_context_2048_vs_64.value, decode_workerd_vs_llamacpp.value]).toEqual([null, null]);
});

test('memory counts WebAssembly and the heap, less an allowance of 24 MB', () => {
  const run = runOf(
    [WORKERD, 'wasm_bytes', '512-token session', [120e6]],
    [WORKERD, 'heap_bytes', '512-token session', [10e6, 8e6, 9e6]],
    [WORKERD, 'weight_bytes', 'pack', [100e6]],
  );
  expect(ratios(run).memory_vs_pack.value).toBeCloseTo(1.05);
});

test('the longest hold is the worst kind of request, an idle loop left out', () => {
  const run = runOf([WORKERD, 'hold_ms', 'idle', [90]], [WORKERD, 'hold_ms', 'prompt', [20, 30, 40]], [WORKERD, 'hold_ms', 'decode', [10]]);
  expect(ratios(run).event_loop_hold_ms.value).toBe(30);
});

test('two threads need not pass what memory allows', () => {
  const run = new Measurements();
  run.addTurns({ name: 'threads_2_vs_1', of: [15, 30], over: [10, 20] });
  // Tokens per second that reading alone would allow.
  run.addTurns({ name: 'read_2_threads_vs_decode_1', of: [17.5, 35], over: [10, 20] });
  const { value, must, aim, atMost } = ratios(run).threads_2_vs_1;
  expect(must).toBeCloseTo(1.4);
  expect(verdict({ value, must, aim, atMost })).toBe('must');
});

test('a verdict knows on which side of its bounds a ratio is good', () => {
  const bounds = { must: 60, aim: 30, atMost: true };
  expect([30, 50, 61, null].map((value) => verdict({ ...bounds, value }))).toEqual(['aim', 'must', 'missed', null]);
  expect([60, 29].map((value) => verdict({ must: 30, aim: 60, atMost: false, value }))).toEqual(['aim', 'missed']);
});
