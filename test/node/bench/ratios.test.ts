import { expect, test } from 'vitest';
import { type Measurement, Measurements } from '../../../bench/engine/measurement.ts';
import { LLAMACPP, MODEL, NODE, RATIO_KEYS, ratios, verdict, WORKERD } from '../../../bench/engine/ratios.ts';

function runOf(
  ...measurements: [engine: string, metric: Measurement['metric'], at: string | number, samples: number[], threads?: number][]
) {
  const run = new Measurements();
  for (const [engine, metric, at, samples, threads = 1] of measurements) run.add({ engine, model: MODEL, threads, metric, at, samples });
  return run;
}

test('a ratio compares medians, over all rounds of a figure', () => {
  const run = runOf(
    [WORKERD, 'decode', 64, [10, 30]],
    [WORKERD, 'decode', 64, [20]],
    [LLAMACPP, 'decode', 64, [10, 10, 100]],
    [LLAMACPP, 'decode', 64, [1], 2],
  );
  expect(ratios(run).decode_workerd_vs_llamacpp.value).toBe(2);
});

test('a ratio whose figures are missing is null and says why; all keys are there', () => {
  const all = ratios(new Measurements());
  expect(Object.keys(all)).toEqual([...RATIO_KEYS]);
  expect(Object.values(all).every(({ value, reason }) => value === null && reason)).toBe(true);
});

test('the roofline is what memory delivers for the bytes of a token', () => {
  const run = runOf([WORKERD, 'decode', 64, [10]], [WORKERD, 'read_gb_s', 'weights', [8]], [WORKERD, 'weight_read_bytes', 'token', [4e8]]);
  expect(ratios(run).decode_workerd_vs_roofline.value).toBeCloseTo(0.5);
});

test('a longer context costs time, so the slower it is the larger the ratio', () => {
  const run = runOf([WORKERD, 'decode', 64, [12]], [WORKERD, 'decode', 2048, [10]]);
  expect(ratios(run).decode_context_2048_vs_64.value).toBeCloseTo(1.2);
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
  const run = runOf(
    [NODE, 'decode', 64, [10]],
    [NODE, 'decode', 64, [15], 2],
    [NODE, 'read_gb_s', 'weights', [7], 2],
    [WORKERD, 'weight_read_bytes', 'token', [4e8]],
  );
  const { value, must, aim, atMost } = ratios(run).threads_2_vs_1;
  expect(must).toBeCloseTo(1.4);
  expect(verdict({ value, must, aim, atMost })).toBe('must');
});

test('a verdict knows on which side of its bounds a ratio is good', () => {
  const bounds = { must: 60, aim: 30, atMost: true };
  expect([30, 50, 61, null].map((value) => verdict({ ...bounds, value }))).toEqual(['aim', 'must', 'missed', null]);
  expect([60, 29].map((value) => verdict({ must: 30, aim: 60, atMost: false, value }))).toEqual(['aim', 'missed']);
});
