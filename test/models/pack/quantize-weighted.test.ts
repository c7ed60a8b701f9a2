import { describe, expect, test } from 'vitest';
import { quantizeQ4 } from '../../../models/pack/quantize.ts';
import { quantizeQ4Weighted } from '../../../models/pack/quantize-weighted.ts';
import { dequantizeBytes } from '../../../models/sources/stored-types.ts';
import { rng } from '../../support/rng.ts';

const ONES = new Float32Array(32).fill(1);
const decoded = (blocks: Uint8Array) => dequantizeBytes('Q4_0', blocks);

/** Weighted squared error of each block of 32. */
function blockErrors(values: Float32Array, blocks: Uint8Array, weights: Float32Array): number[] {
  const back = decoded(blocks);
  const errors = new Array<number>(values.length / 32).fill(0);
  values.forEach((value, i) => {
    errors[i >> 5] = errors[i >> 5]! + weights[i % weights.length]! * (value - back[i]!) ** 2;
  });
  return errors;
}

function randomRows(count: number, columns: number, draw: (n: () => number) => number): Float32Array {
  const { n } = rng(7);
  return Float32Array.from({ length: count * columns }, () => draw(n));
}

const INPUTS: [string, Float32Array][] = [
  ['normal weights', randomRows(64, 96, (n) => 0.02 * n())],
  ['heavy tails', randomRows(64, 96, (n) => n() ** 5)],
  ['one sign', randomRows(64, 96, (n) => 1 + 0.1 * n())],
  ['a grid of sixteen values', randomRows(64, 96, (n) => 0.003 * Math.round(3 * n()) + 0.001)],
  ['subnormal scales', randomRows(64, 96, (n) => 3e-7 * n())],
  ['values below every half', randomRows(64, 96, (n) => 1e-9 * n())],
  ['values up to the largest scale', randomRows(64, 96, (n) => 100_000 * Math.max(-4, Math.min(4, n())))],
];
const UNEVEN = Float32Array.from({ length: 96 }, (_, i) => (i % 7 === 0 ? 1000 : i % 5 === 0 ? 0 : 1 + i));

describe.each(INPUTS)('%s', (_, values) => {
  test.each([
    ['equal', new Float32Array(96).fill(1)],
    ['uneven', UNEVEN],
    ['all zero', new Float32Array(96)],
  ])('with %s column weights no block is worse than plainly rounded', (_, weights) => {
    const ours = blockErrors(values, quantizeQ4Weighted(values, weights), weights);
    const plain = blockErrors(values, quantizeQ4(values), weights);
    for (const [block, error] of ours.entries()) expect(error, `block ${block}`).toBeLessThanOrEqual(plain[block]! * (1 + 1e-6));
  });
});

test('random weights lose a tenth less than by plain rounding, and a third less where columns matter unequally', () => {
  const values = INPUTS[0]![1];
  const total = (errors: number[]) => errors.reduce((sum, error) => sum + error, 0);
  const ratio = (weights: Float32Array) =>
    total(blockErrors(values, quantizeQ4Weighted(values, weights), weights)) / total(blockErrors(values, quantizeQ4(values), weights));
  expect(ratio(new Float32Array(96).fill(1))).toBeLessThan(0.9);
  expect(ratio(UNEVEN)).toBeLessThan(0.67);
});

describe('a block', () => {
  test('of zeros stays zeros', () => {
    expect(decoded(quantizeQ4Weighted(new Float32Array(32), ONES)).every((value) => value === 0)).toBe(true);
  });

  test.each([1, -1, 0.37, -2.5e-3, 1e-3])('of nothing but %d is kept to half precision', (value) => {
    for (const back of decoded(quantizeQ4Weighted(new Float32Array(32).fill(value), ONES)))
      expect(Math.abs(back / value - 1)).toBeLessThan(2 ** -10);
  });

  test('keeps one outlier among zeros, and the zeros', () => {
    for (const outlier of [5, -5]) {
      const values = new Float32Array(32);
      values[17] = outlier;
      const back = decoded(quantizeQ4Weighted(values, ONES));
      expect(back[17]! / outlier).toBeCloseTo(1, 3);
      expect(back.every((value, i) => i === 17 || value === 0)).toBe(true);
    }
  });

  test('gives up an outlier in a column that is never used for the sake of the others', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i));
    values[3] = 10;
    const weights = new Float32Array(32).fill(1);
    weights[3] = 0;
    const error = (blocks: Uint8Array) => blockErrors(values, blocks, weights)[0]!;
    expect(error(quantizeQ4Weighted(values, weights))).toBeLessThan(0.7 * error(quantizeQ4(values)));
  });

  test('that sixteen steps describe exactly is exact', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => ((i % 16) - 8) * 0.25);
    expect([...decoded(quantizeQ4Weighted(values, ONES))]).toEqual([...values]);
  });
});

test('gives the same bytes however many rows are quantized at a time', () => {
  const values = INPUTS[0]![1];
  const whole = quantizeQ4Weighted(values, UNEVEN);
  const rows = Array.from({ length: 64 }, (_, row) => quantizeQ4Weighted(values.subarray(row * 96, (row + 1) * 96), UNEVEN));
  expect(Buffer.concat(rows).equals(whole)).toBe(true);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e9])('refuses a weight of %d', (weight) => {
  for (const at of [0, 3, 31]) {
    const values = new Float32Array(32).fill(1);
    values[at] = weight;
    expect(() => quantizeQ4Weighted(values, ONES)).toThrow(/not a finite number/);
  }
});
