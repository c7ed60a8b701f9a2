import { describe, expect, it } from 'vitest';
import { BUILDS, kernelMemory } from '../support/kernel-memory.ts';
import { rng } from '../support/rng.ts';

/** Dimensions of a head, and positions of a page. */
const N = 64;
const PAGE = 64;
/** A head's share of a page: integers, then scales. */
const SCALES = PAGE * N * 2;
const SHARE = SCALES + PAGE * 4;

/** Heads that are hard to round. */
const HEADS: Record<string, number[]> = {
  zeros: Array(N).fill(0),
  'negative zeros': Array(N).fill(-0),
  'one number': Array.from({ length: N }, (_, i) => (i === 5 ? -3.25 : 0)),
  'all alike': Array(N).fill(0.5),
  'two signs': Array.from({ length: N }, (_, i) => (i % 2 ? 1e4 : -1e4)),
  'one that is much larger': Array.from({ length: N }, (_, i) => (i === 63 ? 1e6 : 1)),
  huge: Array.from({ length: N }, (_, i) => 1e17 * (i - 30)),
  small: Array.from({ length: N }, (_, i) => 1e-15 * (i - 30)),
  'too small': Array.from({ length: N }, (_, i) => 1e-32 * (i - 30)),
};

const norm = (x: Iterable<number>): number => Math.sqrt([...x].reduce((sum, value) => sum + value * value, 0));
const largest = (x: Iterable<number>): number => Math.max(...[...x].map(Math.abs));

describe.each(BUILDS)('%s build', (build) => {
  const { n } = rng(5);
  const { kernel, memory, place, room, floats } = kernelMemory(build);
  const shorts = (at: number, count: number) => new Int16Array(memory.buffer.slice(at, at + 2 * count));
  const ints = (at: number, count: number) => new Int32Array(memory.buffer.slice(at, at + 4 * count));
  const random = () => Array.from({ length: N }, () => n());
  const heads = [...Object.values(HEADS), random(), random()];
  /** A share with these heads at the first positions, stored by `store`. */
  const shareOf = (store: 'storeKey' | 'storeValue', lines: number[][]) => {
    const share = room(SHARE);
    lines.forEach((line, position) => {
      kernel[store](place(Float32Array.from(line)), share, position, N);
    });
    return share;
  };
  const scaleOf = (share: number, position: number) => floats(share + SCALES + 4 * position, 1)[0]!;
  const keyAt = (share: number, position: number) => {
    const all = shorts(share, PAGE * N);
    return Array.from({ length: N }, (_, d) => all[(position >> 3) * 8 * N + (d >> 1) * 16 + (position & 7) * 2 + (d & 1)]!);
  };
  const valueAt = (share: number, position: number) => {
    const all = shorts(share, PAGE * N);
    return Array.from({ length: N }, (_, d) => all[(d >> 3) * 512 + (position >> 1) * 16 + (d & 7) * 2 + (position & 1)]!);
  };

  it.each(Object.keys(HEADS))(
    'a key of %s is kept to a part in 32700 of its norm, a value to a part in 16383 of its largest number',
    (name) => {
      const line = Float32Array.from(HEADS[name]!);
      const [keys, values] = [shareOf('storeKey', [random(), HEADS[name]!]), shareOf('storeValue', [random(), HEADS[name]!])];
      const tiny = name === 'too small' ? 1e-29 : 0;
      keyAt(keys, 1).forEach((k, i) => {
        expect(Math.abs(k * scaleOf(keys, 1) - line[i]!)).toBeLessThanOrEqual((0.51 / 32700) * norm(line) + tiny);
      });
      valueAt(values, 1).forEach((v, i) => {
        expect(Math.abs(v * scaleOf(values, 1) - line[i]!)).toBeLessThanOrEqual((0.51 / 16383) * largest(line) + tiny);
      });
    },
  );

  it('each of the 64 positions has its own place, for keys and for values', () => {
    const lines = Array.from({ length: PAGE }, random);
    const [keys, values] = [shareOf('storeKey', lines), shareOf('storeValue', lines)];
    lines.forEach((line, position) => {
      const key = keyAt(keys, position).map((k) => k * scaleOf(keys, position));
      const value = valueAt(values, position).map((v) => v * scaleOf(values, position));
      expect(norm(key.map((k, i) => k - line[i]!)) / norm(line)).toBeLessThan(1e-4);
      expect(norm(value.map((v, i) => v - line[i]!)) / norm(line)).toBeLessThan(2e-4);
    });
  });

  it('scores are the products of queries and keys; no sum overflows, whatever the key and the query', () => {
    const share = shareOf('storeKey', heads);
    const queries = [heads[3]!, heads[4]!, heads.at(-1)!, heads[2]!];
    const at = queries.map((query) => place(Float32Array.from(query)));
    const units = at.map((query) => kernel.roundByNorm(query, N));
    const to = at.map(() => room(PAGE * 4));
    kernel.multiply(at[0]!, at[1]!, at[2]!, at[3]!, to[0]!, to[1]!, to[2]!, to[3]!, share, N / 2, Math.ceil(heads.length / 8), N * 16);
    queries.forEach((query, h) => {
      kernel.scoresFrom(to[h]!, share + SCALES, units[h]!, heads.length);
      const scores = floats(to[h]!, heads.length);
      heads.forEach((key, position) => {
        const exact = key.reduce((sum, k, i) => sum + Math.fround(k) * query[i]!, 0);
        expect(Math.abs(scores[position]! - exact)).toBeLessThanOrEqual(3e-4 * norm(key) * norm(query) + 1e-25);
      });
    });
  });

  it.each([1, 2, 7, 8, 63, 64])('values of %i positions, weighted, whatever lies behind them', (count) => {
    // The largest sums there can be: values that are all as large as can be, weights all alike, or one alone.
    const lines = Array.from({ length: count }, (_, i) => (i % 3 ? random() : HEADS['two signs']!));
    const share = shareOf('storeValue', lines);
    for (let i = count; i < PAGE; i++) new Float32Array(memory.buffer, share + SCALES + 4 * i, 1)[0] = Number.NaN;
    const kinds: ((i: number) => number)[] = [() => 1, (i) => (i === 0 ? 1 : 0), (i) => Math.exp(-i), (i) => (i === count - 1 ? 1 : 1e-30)];
    const at = kinds.map((kind) => place(Float32Array.from({ length: PAGE }, (_, i) => (i < count ? kind(i) : Number.NaN))));
    const units = at.map((weights) => kernel.roundWeights(weights, share + SCALES, count));
    const sums = at.map(() => room(N * 4));
    kernel.multiply(at[0]!, at[1]!, at[2]!, at[3]!, sums[0]!, sums[1]!, sums[2]!, sums[3]!, share, (count + 1) >> 1, N / 8, PAGE * 16);
    kinds.forEach((kind, h) => {
      const before = random();
      const out = place(Float32Array.from(before));
      kernel.addSums(out, 0.25, sums[h]!, units[h]!, N);
      const most = lines.reduce((sum, line, i) => sum + kind(i) * largest(line), 0);
      floats(out, N).forEach((value, d) => {
        const exact = lines.reduce((sum, line, i) => sum + kind(i) * Math.fround(line[d]!), Math.fround(before[d]!) * 0.25);
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(3e-4 * most + 1e-6);
      });
    });
  });

  it.each([8, 64, 256])('of %i dimensions, too, the largest sums there can be are right', (dimensions) => {
    // Of 256 dimensions alike, rounding makes a key and a query longer.
    const line = new Float32Array(dimensions).fill(0.75);
    const opposite = line.map((x) => -x);
    const [keys, values] = [room(PAGE * (2 * dimensions + 4)), room(PAGE * (2 * dimensions + 4))];
    const scales = PAGE * dimensions * 2;
    for (let position = 0; position < PAGE; position++) {
      kernel.storeKey(place(position % 2 ? opposite : line), keys, position, dimensions);
      kernel.storeValue(place(line), values, position, dimensions);
    }
    const [query, scores, weights] = [place(line), room(PAGE * 4), place(new Float32Array(PAGE).fill(1))];
    const unit = kernel.roundByNorm(query, dimensions);
    kernel.multiply(query, query, query, query, scores, scores, scores, scores, keys, dimensions / 2, PAGE / 8, dimensions * 16);
    kernel.scoresFrom(scores, keys + scales, unit, PAGE);
    floats(scores, PAGE).forEach((score, position) => {
      expect(score / (0.5625 * dimensions)).toBeCloseTo(position % 2 ? -1 : 1, 3);
    });
    const [sums, out] = [room(dimensions * 4), place(new Float32Array(dimensions))];
    const each = kernel.roundWeights(weights, values + scales, PAGE);
    kernel.multiply(weights, weights, weights, weights, sums, sums, sums, sums, values, PAGE / 2, dimensions / 8, PAGE * 16);
    kernel.addSums(out, 0, sums, each, dimensions);
    for (const sum of floats(out, dimensions)) expect(sum / (0.75 * PAGE)).toBeCloseTo(1, 3);
  });

  it('weights and sums of all-zero values are 0', () => {
    const share = shareOf('storeValue', [HEADS.zeros!, HEADS.zeros!]);
    const weights = place(Float32Array.of(1, 1, 0, 0, 0, 0, 0, 0));
    expect(kernel.roundWeights(weights, share + SCALES, 2)).toBe(0);
    expect([...shorts(weights, 8)]).toEqual(Array(8).fill(0));
  });

  it('a product is that of whole numbers, one after the other', () => {
    const [pairs, tiles] = [5, 3];
    const values = (count: number) => Int16Array.from({ length: count }, () => Math.max(-32768, Math.min(32767, Math.round(9000 * n()))));
    const [x, w] = [Array.from({ length: 4 }, () => values(2 * pairs)), values(tiles * pairs * 16)];
    const put = (data: Int16Array) => place(new Uint8Array(data.buffer));
    const at = x.map(put);
    const to = x.map(() => room(tiles * 32));
    kernel.multiply(at[0]!, at[1]!, at[2]!, at[3]!, to[0]!, to[1]!, to[2]!, to[3]!, put(w), pairs, tiles, pairs * 32);
    x.forEach((line, h) => {
      const expected = Array.from({ length: tiles * 8 }, (_, c) =>
        line.reduce((sum, value, i) => (sum + value * w[(c >> 3) * pairs * 16 + (i >> 1) * 16 + (c & 7) * 2 + (i & 1)]!) | 0, 0),
      );
      expect([...ints(to[h]!, tiles * 8)]).toEqual(expected);
    });
  });
});
