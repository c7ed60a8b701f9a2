import { expect, test } from 'vitest';
import { Comparison } from '../../../bench/quality/comparison.ts';

const row = (...values: number[]) => Float32Array.from(values);

test('logits that know nothing have the perplexity of the vocabulary, padding rows left out', () => {
  const comparison = new Comparison(4);
  const flat = [row(0, 0, 0, 0, 99), row(0, 0, 0, 0, 99)];
  comparison.add([1, 2], flat, flat);
  expect(comparison.result().perplexity).toBeCloseTo(4);
});

test('the same logits agree everywhere and do not diverge', () => {
  const comparison = new Comparison(3);
  const logits = [row(1, 2, 3), row(0, 5, 1)];
  comparison.add([0, 1], logits, logits);
  expect(comparison.result()).toMatchObject({ top1Agreement: 1, klDivergence: 0, positions: 2 });
});

test('agreement counts the most likely token; divergence is that of the distributions', () => {
  const comparison = new Comparison(2);
  const reference = [row(Math.log(3), 0), row(0, 1)];
  comparison.add([0, 1], reference, [row(0, Math.log(3)), row(0, 1)]);
  const { top1Agreement, klDivergence } = comparison.result();
  expect(top1Agreement).toBe(0.5);
  // KL((3/4, 1/4) || (1/4, 3/4)) = 1/2 log 3 at the first position, nothing at the second.
  expect(klDivergence).toBeCloseTo(Math.log(3) / 4);
});
