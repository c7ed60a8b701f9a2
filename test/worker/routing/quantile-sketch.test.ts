import { describe, expect, it } from 'vitest';
import { addValue, emptySketch, partBelow, type QuantileSketch, quantileOf } from '../../../worker/routing/quantile-sketch.ts';

const sketchOf = (values: number[]): QuantileSketch => values.reduce(addValue, emptySketch);
/** 1, 2 ... n in an order that is not sorted. */
const shuffled = (n: number) => Array.from({ length: n }, (_, i) => 1 + ((i * 37) % n));

describe('a quantile sketch', () => {
  it('knows nothing without values', () => {
    expect(quantileOf(emptySketch, 0.5)).toBe(null);
    expect(partBelow(emptySketch, 5)).toBe(0);
  });

  it.each([1, 100, 1_000])('has quantiles close by, at any scale (× %d)', (scale) => {
    const sketch = sketchOf(shuffled(100).map((value) => value * scale));
    for (const q of [0.1, 0.5, 0.9, 0.95]) {
      const exact = 100 * q * scale;
      expect(quantileOf(sketch, q)! / exact).toBeGreaterThan(0.8);
      expect(quantileOf(sketch, q)! / exact).toBeLessThan(1.2);
      expect(Math.abs(partBelow(sketch, exact) - q)).toBeLessThan(0.1);
    }
  });

  it('rises with the quantile', () => {
    const sketch = sketchOf([1, 1, 5, 80, 3000]);
    const quantiles = Array.from({ length: 21 }, (_, i) => quantileOf(sketch, i / 20)!);
    expect(quantiles).toEqual(quantiles.toSorted((a, b) => a - b));
  });

  it('forgets: a few hundred new values outweigh all before', () => {
    const sketch = [...Array(2000).fill(10), ...Array(300).fill(500)].reduce(addValue, emptySketch);
    expect(quantileOf(sketch, 0.5)).toBeGreaterThan(400);
  });

  it('takes nothing that is no positive number, and keeps what is far off at its ends', () => {
    const sketch = sketchOf([5]);
    for (const value of [Number.NaN, 0, -3, Number.POSITIVE_INFINITY]) expect(addValue(sketch, value)).toBe(sketch);
    expect(quantileOf(sketchOf([1e300]), 0.5)).toBeLessThan(1e6);
    expect(quantileOf(sketchOf([1e-300]), 0.5)).toBeGreaterThan(0);
  });

  it('is small, is not changed by adding, and survives JSON', () => {
    const sketch = sketchOf(shuffled(1000));
    const before = structuredClone(sketch);
    addValue(sketch, 7);
    expect(sketch).toEqual(before);
    expect(sketch.counts.length).toBeLessThan(100);
    expect(JSON.parse(JSON.stringify(sketch))).toEqual(sketch);
  });
});
