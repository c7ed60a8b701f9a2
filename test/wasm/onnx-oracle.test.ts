import { setFlagsFromString } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { instantiateKernel } from '../../wasm/engine/kernel.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { MODEL, writeStruct } from '../../wasm/engine/structs.ts';
import { runOnnxOperator } from '../support/onnx-model.ts';

// Optimised code at once, as that is what is to be tested: with 256-bit instructions where the kernels are written for them.
// After the kernels' own check of V8, which ends with liftoff on.
nodeKernels();
setFlagsFromString('--no-liftoff');

/**
 * The two kernels of a linear attention layer against onnxruntime-web's operators of the same mathematics: `LinearAttention` with the gated delta rule and
 * `CausalConvWithState`. Both sides compute in float32 and differ in the order of their sums, and in silu's exponential.
 */
const TOLERANCE = 2e-5;

/** A Model record in which nothing is set. */
const NOTHING = Object.fromEntries(MODEL.map((field) => [field, 0])) as Record<(typeof MODEL)[number], number>;

describe.each(['relaxed', 'simd'] as const)('kernels built as %s.wasm', (build) => {
  const shapes = [
    { name: 'as many value heads as key heads', keyHeads: 2, valueHeads: 2, keyDim: 32, valueDim: 32 },
    { name: 'two value heads per key head', keyHeads: 2, valueHeads: 4, keyDim: 32, valueDim: 64 },
    { name: "Qwen3.5's head width", keyHeads: 1, valueHeads: 2, keyDim: 128, valueDim: 128 },
  ];

  it.each(shapes)('delta rule equals LinearAttention: $name', async ({ keyHeads, valueHeads, keyDim, valueDim }) => {
    const tokens = 40;
    const random = uniform(keyHeads * 1000 + valueDim);
    const query = unitVectors(random(tokens * keyHeads * keyDim), keyDim);
    const key = unitVectors(random(tokens * keyHeads * keyDim), keyDim);
    const value = random(tokens * valueHeads * valueDim);
    const logDecay = random(tokens * valueHeads).map((x) => -Math.abs(x));
    const beta = random(tokens * valueHeads).map((x) => (x + 1) / 2);
    const past = random(valueHeads * keyDim * valueDim);

    const [output, present] = await runOnnxOperator(
      'LinearAttention',
      { q_num_heads: keyHeads, kv_num_heads: valueHeads, update_rule: 'gated_delta', scale: { float: 1 } },
      [
        { data: query, dims: [1, tokens, keyHeads * keyDim] },
        { data: key, dims: [1, tokens, keyHeads * keyDim] },
        { data: value, dims: [1, tokens, valueHeads * valueDim] },
        { data: past, dims: [1, valueHeads, keyDim, valueDim] },
        { data: logDecay, dims: [1, tokens, valueHeads] },
        { data: beta, dims: [1, tokens, valueHeads] },
      ],
      2,
    );

    const { kernels, memory, place, floats } = load(build);
    const [keys, values] = [keyHeads * keyDim, valueHeads * valueDim];
    const ofToken = (t: number, heads: Float32Array, width: number) => [...heads.subarray(t * width, (t + 1) * width)];
    const lines = (of: (t: number) => number[]) => place(Float32Array.from(Array.from({ length: tokens }, (_, t) => of(t)).flat()));
    const gates = (numbers: Float32Array) => lines((t) => [...ofToken(t, numbers, valueHeads), ...new Array(8 - valueHeads).fill(0)]);
    const qkv = lines((t) => [...ofToken(t, query, keys), ...ofToken(t, key, keys), ...ofToken(t, value, values)]);
    const [a, b, out] = [gates(logDecay.map(Math.exp)), gates(beta), place(new Float32Array(tokens * values))];
    const group = new Float32Array(4 * (keys + values + valueHeads));
    const s = place(Float32Array.of(...striped(past, keyDim, valueDim, 'to'), ...group));
    const factors = place(new Float32Array(32 * valueHeads * 16));
    const model = place(new Float32Array(MODEL.length));
    // As a prompt goes through: in pieces that begin and end anywhere in a group of positions.
    for (const [first, count] of [
      [0, 6],
      [6, 1],
      [7, 4],
      [11, 28],
      [39, 1],
    ] as const) {
      const places = { qkv: qkv + 4 * first * (2 * keys + values), a: a + 32 * first, b: b + 32 * first, mixed: out + 4 * first * values };
      writeStruct(memory.buffer, model, MODEL, { ...NOTHING, keyHeads, valueHeads, keyDim, valueDim, factors, ...places });
      kernels.deltaRule(model, s, first, 0, count, 0, valueHeads);
    }
    expect(largestDifference(floats(out, tokens * valueHeads * valueDim), output!.data)).toBeLessThan(TOLERANCE);
    expect(largestDifference(striped(floats(s, past.length), keyDim, valueDim, 'from'), present!.data)).toBeLessThan(TOLERANCE);
  });

  it('causal convolution equals CausalConvWithState, also from a state in the middle of a sequence', async () => {
    const [tokens, channels, taps, start] = [9, 24, 4, 5];
    const random = uniform(7);
    const input = random(tokens * channels);
    const weight = random(taps * channels);
    const past = random((taps - 1) * channels);

    const [output, present] = await runOnnxOperator(
      'CausalConvWithState',
      { activation: 'silu', ndim: 1 },
      [
        { data: transpose(input, tokens, channels), dims: [1, channels, tokens] },
        { data: transpose(weight, taps, channels), dims: [channels, 1, taps] },
        null,
        { data: transpose(past, taps - 1, channels), dims: [1, channels, taps - 1] },
      ],
      2,
    );

    const { kernels, place, floats } = load(build);
    // Our state is a ring in which position p lies in line p mod (taps - 1); the lines of the three positions before `start` follow from that.
    const ring = new Float32Array(past.length);
    for (let line = 0; line < taps - 1; line++) {
      const position = start - (taps - 1) + line;
      ring.set(past.subarray(line * channels, (line + 1) * channels), (position % (taps - 1)) * channels);
    }
    const [u, w, state] = [place(input), place(weight), place(ring)];
    for (let token = 0; token < tokens; token++) kernels.causalConv(u + 4 * token * channels, state, w, start + token, taps, channels);

    expect(largestDifference(transpose(floats(u, input.length), tokens, channels), output!.data)).toBeLessThan(TOLERANCE);
    const after = floats(state, ring.length);
    const lines = Float32Array.from({ length: ring.length }, (_, index) => {
      const position = start + tokens - (taps - 1) + Math.floor(index / channels);
      return after[(position % (taps - 1)) * channels + (index % channels)]!;
    });
    expect(largestDifference(transpose(lines, taps - 1, channels), present!.data)).toBe(0);
  });
});

/** A kernel module with its memory; `place` copies numbers into it and `floats` reads them back. */
function load(build: 'relaxed' | 'simd') {
  const memory = new WebAssembly.Memory({ initial: 64 });
  // Below lie the module's own tables.
  let next = 65536;
  const place = (values: Float32Array): number => {
    const at = next;
    new Float32Array(memory.buffer, at, values.length).set(values);
    next = (at + values.byteLength + 63) & ~63;
    return at;
  };
  const floats = (at: number, length: number) => new Float32Array(memory.buffer, at, length).slice();
  return { kernels: instantiateKernel(nodeKernels()[build]!, memory), memory, place, floats };
}

/** Numbers between -1 and 1, the same for the same seed (mulberry32). */
function uniform(seed: number): (length: number) => Float32Array {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1;
  };
  return (length) => Float32Array.from({ length }, next);
}

/** Divides every run of `width` numbers by its length: the delta rule is stable for keys of length 1 only. */
function unitVectors(values: Float32Array, width: number): Float32Array {
  return values.map((x, index) => {
    const vector = values.subarray(index - (index % width), index - (index % width) + width);
    return x / Math.hypot(...vector);
  });
}

/** States [heads, keyDim, valueDim] to our layout [heads, valueDim / 16, keyDim, 16] or from it. */
function striped(values: Float32Array, keyDim: number, valueDim: number, way: 'to' | 'from'): Float32Array {
  const head = keyDim * valueDim;
  const result = new Float32Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const [k, v] = [Math.floor((index % head) / valueDim), index % valueDim];
    const ours = index - (index % head) + (Math.floor(v / 16) * keyDim + k) * 16 + (v % 16);
    if (way === 'to') result[ours] = values[index]!;
    else result[index] = values[ours]!;
  }
  return result;
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, x, index) => Math.max(worst, Number.isFinite(x) ? Math.abs(x - b[index]!) : Number.POSITIVE_INFINITY), 0);
}
