import { describe, expect, it } from 'vitest';
import { halfToFloat } from '../../models/half.ts';
import { matrixBytes, type WeightType } from '../../models/pack/manifest.ts';
import { MATRIX, PART, structBytes, writeStruct } from '../../wasm/engine/structs.ts';
import { BUILDS, type Build, kernelMemory } from '../support/kernel-memory.ts';
import { rng } from '../support/rng.ts';

const { fround } = Math;
const TYPES: Record<WeightType, number> = { f32: 0, q8_0: 1, q4_0: 2 };

/** How the bytes of a matrix are chosen: everything a pack could hold, edges included. */
type Fill = 'random' | 'all 15' | 'all 0' | 'largest' | 'tiny scales' | 'negative scales';
/** And the activations. */
type Input = 'random' | 'zeros' | 'largest' | 'tiny' | 'huge' | 'alternating';

/** Tiles written straight in the format of models/pack/manifest.ts. */
function tiles(type: 'q4_0' | 'q8_0', rows: number, columns: number, fill: Fill): Uint8Array {
  const { u } = rng(rows * 31 + columns);
  const bytes = new Uint8Array(matrixBytes(type, rows, columns));
  const [tile, scalesAt] = type === 'q4_0' ? [144, 128] : [272, 256];
  for (let at = 0; at < bytes.length; at++) {
    const place = at % tile;
    if (place < scalesAt) {
      if (fill === 'all 15') bytes[at] = type === 'q4_0' ? 0xff : 127;
      else if (fill === 'all 0') bytes[at] = type === 'q4_0' ? 0 : 128;
      else if (fill === 'largest') bytes[at] = type === 'q4_0' ? (u() < 0.5 ? 0x0f : 0xf0) : u() < 0.5 ? 127 : 129;
      else bytes[at] = Math.floor(u() * 256);
    } else if (place % 2 === 1) {
      // Exponents of halves from 2^-10 to 2^1; subnormal ones; negative ones.
      bytes[at] =
        fill === 'tiny scales' ? Math.floor(u() * 4) : Math.floor(20 + u() * 44) + (fill === 'negative scales' && u() < 0.5 ? 128 : 0);
    } else bytes[at] = Math.floor(u() * 256);
  }
  return bytes;
}

function inputs(count: number, kind: Input): Float32Array {
  const { n } = rng(count);
  const value: Record<Input, (i: number) => number> = {
    random: () => n(),
    zeros: (i) => (i % 96 < 64 ? 0 : n()),
    largest: (i) => (i % 3 ? 127 : -127),
    tiny: (i) => n() * (i % 64 < 32 ? 1e-35 : 1e-28),
    huge: () => n() * 1e6,
    alternating: (i) => (i % 2 ? 1 : -1),
  };
  return Float32Array.from({ length: count }, (_, i) => value[kind](i));
}

/** Scalar rounding of one block of 32: ties to even, as IEEE rounds. */
function roundBlock(x: Float32Array, levels: number): { q: number[]; scale: number } {
  const largest = x.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  if (largest < 2 ** -100) return { q: Array.from(x, () => 0), scale: 0 };
  const scale = fround(largest / levels);
  const nearest = (v: number) => {
    const floor = Math.floor(v);
    if (v - floor !== 0.5) return Math.round(v);
    return floor % 2 === 0 ? floor : floor + 1;
  };
  return { q: Array.from(x, (value) => nearest(fround(value / scale))), scale };
}

/** What is multiplied: q8_0 with activations of its own, or with those that a q4_0 matrix has been multiplied with. */
type Case = 'q4_0' | 'q8_0' | 'q8_0 after q4_0';
const CASES: Case[] = ['q4_0', 'q8_0', 'q8_0 after q4_0'];
const typeOf = (which: Case): 'q4_0' | 'q8_0' => (which === 'q4_0' ? 'q4_0' : 'q8_0');

/** y = W x by the definition: integer sums per block, then float32 operations in the order of the blocks. */
function scalarProduct(which: Case, bytes: Uint8Array, rows: number, x: Float32Array): Float32Array {
  const type = typeOf(which);
  const blocks = x.length / 32;
  const rounded = Array.from({ length: blocks }, (_, b) => roundBlock(x.subarray(b * 32, b * 32 + 32), which === 'q8_0' ? 32767 : 127));
  const [tile, scalesAt] = type === 'q4_0' ? [144, 128] : [272, 256];
  return Float32Array.from({ length: rows }, (_, row) => {
    let y = 0;
    const r = row & 7;
    rounded.forEach(({ q, scale }, b) => {
      const at = ((row >> 3) * blocks + b) * tile;
      const sum = q.reduce((total, value, k) => {
        if (type === 'q8_0') return total + value * ((bytes[at + 16 * (k >> 1) + 2 * r + (k & 1)]! << 24) >> 24);
        const byte = bytes[at + 16 * (k >> 2) + 4 * (r & 3) + (k & 3)]!;
        return total + value * ((r < 4 ? byte & 15 : byte >> 4) - 8);
      }, 0);
      const scaleAt = at + scalesAt + 4 * (r & 3) + 2 * (r >> 2);
      const weightScale = halfToFloat(bytes[scaleAt]! | (bytes[scaleAt + 1]! << 8));
      y = fround(y + fround(fround(sum) * fround(weightScale * scale)));
    });
    return y;
  });
}

/** y [tokens, rows] by the kernels, the matrix in parts that begin at `cuts`. */
function kernelProduct(
  build: Build,
  which: Case | 'f32',
  bytes: Uint8Array,
  rows: number,
  x: Float32Array,
  tokens: number,
  cuts = [0],
  { sums = 32, wide = false }: { sums?: 16 | 32; wide?: boolean } = {},
): Float32Array[] {
  const { kernel, memory, place, room, floats } = kernelMemory(build);
  const type = which === 'f32' ? which : typeOf(which);
  const columns = x.length / tokens;
  const width = Math.ceil(rows / 8) * 8;
  const group = matrixBytes(type, 8, columns);
  const record = (of: WeightType, ofRows: number, partCount: number, parts: number) => {
    const at = room(structBytes(MATRIX));
    writeStruct(memory.buffer, at, MATRIX, { type: TYPES[of], rows: ofRows, columns, partCount, parts });
    return at;
  };
  const parts = room(cuts.length * structBytes(PART));
  cuts.forEach((firstRow, i) => {
    const end = cuts[i + 1] ?? rows;
    const data = place(bytes.subarray((firstRow / 8) * group, Math.ceil(end / 8) * group));
    writeStruct(memory.buffer, parts + i * structBytes(PART), PART, { firstRow, rows: end - firstRow, data });
  });
  const matrix = record(type, rows, cuts.length, parts);
  kernel.setProductScratch(room(9 * Math.ceil(columns / 32) * 288), sums);
  if (wide) kernel.setWideProducts(room(256));
  // Lines beyond the last token are read: fill them with what would spoil everything.
  const lines = new Float32Array(columns * (tokens + 3)).fill(Number.NaN);
  lines.set(x);
  const y = room((tokens + 3) * width * 4);
  kernel.input(place(lines), columns, tokens);
  if (which === 'q8_0 after q4_0') {
    const part = room(structBytes(PART));
    writeStruct(memory.buffer, part, PART, { firstRow: 0, rows: 8, data: place(tiles('q4_0', 8, columns, 'random')) });
    kernel.product(record('q4_0', 8, 1, part), y);
  }
  kernel.product(matrix, y);
  return Array.from({ length: tokens }, (_, t) => floats(y + t * width * 4, rows));
}

const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.slice().buffer);

describe.each(BUILDS)('integer products, %s build', (build) => {
  describe.each(CASES)('%s', (which) => {
    const type = typeOf(which);

    it.each<[number, number, Fill, Input]>([
      [64, 128, 'random', 'random'],
      [40, 96, 'random', 'random'],
      [8, 32, 'random', 'random'],
      [301, 160, 'negative scales', 'random'],
      [96, 224, 'all 15', 'largest'],
      [96, 224, 'all 0', 'largest'],
      [40, 64, 'all 0', 'alternating'],
      [64, 1024, 'largest', 'largest'],
      [64, 96, 'random', 'zeros'],
      [64, 128, 'tiny scales', 'random'],
      [64, 128, 'random', 'tiny'],
      [64, 128, 'negative scales', 'huge'],
    ])('%i x %i, weights %s, activations %s: equal to the scalar reference to the bit', (rows, columns, fill, input) => {
      const bytes = tiles(type, rows, columns, fill);
      const x = inputs(columns * 7, input);
      const expected = Array.from({ length: 7 }, (_, t) =>
        bits(scalarProduct(which, bytes, rows, x.subarray(t * columns, (t + 1) * columns))),
      );
      for (const sums of [16, 32] as const) {
        for (const wide of [false, true]) {
          for (const tokens of [1, 2, 7]) {
            const computed = kernelProduct(build, which, bytes, rows, x.subarray(0, tokens * columns), tokens, [0], { sums, wide });
            expect(computed.map(bits)).toEqual(expected.slice(0, tokens));
          }
        }
      }
    });

    it.each([2, 3, 4, 5, 6, 9, 32])('%i tokens together equal each alone', (tokens) => {
      const [rows, columns] = [104, 160];
      const bytes = tiles(type, rows, columns, 'negative scales');
      const x = inputs(columns * tokens, 'random');
      const expected = Array.from({ length: tokens }, (_, t) =>
        bits(scalarProduct(which, bytes, rows, x.subarray(t * columns, (t + 1) * columns))),
      );
      for (const wide of [false, true])
        expect(kernelProduct(build, which, bytes, rows, x, tokens, [0], { wide }).map(bits)).toEqual(expected);
    });

    it('a matrix in parts equals one in a piece', () => {
      const bytes = tiles(type, 133, 64, 'random');
      const x = inputs(64 * 5, 'random');
      expect(kernelProduct(build, which, bytes, 133, x, 5, [0, 32, 96])).toEqual(kernelProduct(build, which, bytes, 133, x, 5));
    });
  });

  it.each([1, 3, 8])('f32 weights, %i tokens: equal to sums in the order of k', (tokens) => {
    const [rows, columns] = [44, 40];
    const w = inputs(48 * columns, 'random');
    const x = inputs(columns * tokens, 'random');
    const bytes = new Uint8Array(w.buffer);
    kernelProduct(build, 'f32', bytes, rows, x, tokens).forEach((line, t) => {
      const expected = Float32Array.from({ length: rows }, (_, row) => {
        let y = 0;
        for (let k = 0; k < columns; k++) y = fround(y + fround(w[(row >> 3) * 8 * columns + k * 8 + (row & 7)]! * x[t * columns + k]!));
        return y;
      });
      expect(bits(line)).toEqual(bits(expected));
    });
  });
});
