import { describe, expect, it } from 'vitest';
import { checksum } from '../../models/pack/checksum.ts';
import { BUILDS, kernelMemory } from '../support/kernel-memory.ts';
import { rng } from '../support/rng.ts';

describe.each(BUILDS)('%s build', (build) => {
  it('exp is right to about one unit in the last place, 0 far below and finite far above', () => {
    const { kernel, place, floats } = kernelMemory(build);
    const x = Float32Array.from({ length: 40000 }, (_, i) => -87 + (i * 175) / 40000);
    const at = place(x);
    kernel.exp4Array(at, x.length);
    const worst = floats(at, x.length).reduce((most, y, i) => Math.max(most, Math.abs(y / Math.exp(x[i]!) - 1)), 0);
    expect(worst).toBeLessThan(2.5 * 2 ** -24);
    const edges = place(Float32Array.of(Number.NEGATIVE_INFINITY, -1000, 1000, Number.NaN));
    kernel.exp4Array(edges, 4);
    const [low, lower, high, nan] = floats(edges, 4);
    expect([low, lower, Number.isFinite(high), nan]).toEqual([0, 0, true, Number.NaN]);
  });

  it.each([0, 1, 3, 64, 100, 4096, 50001])('the checksum of %i bytes is that of the packer', (length) => {
    const { kernel, place } = kernelMemory(build);
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + (i >> 8)) & 255);
    expect(kernel.checksum(place(bytes), length) >>> 0).toBe(checksum(bytes));
  });

  it.each([1, 5, 300, 8191])('log-sum-exp of %i logits', (count) => {
    const { kernel, place } = kernelMemory(build);
    const { n } = rng(count);
    const x = Float32Array.from({ length: count }, () => 8 * n());
    const exact = (scale: number) => {
      const max = Math.max(...x);
      return max * scale + Math.log(x.reduce((sum, v) => sum + Math.exp((v - max) * scale), 0));
    };
    const at = place(x);
    for (const scale of [1, 2, 0.5])
      expect(Math.abs(kernel.logSumExp(at, count, scale) - exact(scale))).toBeLessThan(2e-6 * (1 + Math.abs(exact(scale))));
  });

  it('the largest logits come in descending order, ties by lower index', () => {
    const { kernel, memory, place, room, floats } = kernelMemory(build);
    const { u } = rng(3);
    const x = Float32Array.from({ length: 1003 }, () => Math.floor(u() * 50));
    const order = Array.from(x.keys()).sort((a, b) => x[b]! - x[a]! || a - b);
    const at = place(x);
    for (const k of [1, 2, 64, 1003]) {
      const [indices, values] = [room(k * 4), room(k * 4)];
      expect(kernel.largestK(at, x.length, k, indices, values)).toBe(k);
      expect([...new Int32Array(memory.buffer, indices, k)]).toEqual(order.slice(0, k));
      expect([...floats(values, k)]).toEqual(order.slice(0, k).map((i) => x[i]));
    }
  });

  it('banned logits are no candidates', () => {
    const { kernel, memory, place, room } = kernelMemory(build);
    const at = place(Float32Array.of(Number.NEGATIVE_INFINITY, 1, Number.NaN, 2, Number.NEGATIVE_INFINITY));
    const indices = room(64);
    expect(kernel.largestK(at, 5, 4, indices, room(64))).toBe(2);
    expect([...new Int32Array(memory.buffer, indices, 2)]).toEqual([3, 1]);
  });
});
