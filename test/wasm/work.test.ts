import { expect, it } from 'vitest';
import { microBatches, type Row } from '../../wasm/engine/batch.ts';
import type { Session } from '../../wasm/engine/sessions.ts';
import { workOf } from '../../wasm/engine/work.ts';
import { CONFIGS } from '../support/models.ts';

const rows = (first: number, count: number): Row[] =>
  Array.from({ length: count }, (_, i) => ({ session: {} as Session, position: first + i, entry: 0, token: i, id: 0, hidden: null }));

it('computes at most 32 rows together, and fewer where each of them sees a long context', () => {
  expect(microBatches(rows(0, 70)).map((batch) => batch.length)).toEqual([32, 32, 6]);
  expect(microBatches(rows(8000, 20)).map((batch) => batch.length)).toEqual([8, 8, 4]);
  expect(microBatches(rows(200_000, 2)).map((batch) => batch.length)).toEqual([1, 1]);
  expect(microBatches(rows(8000, 20)).flat()).toEqual(rows(8000, 20));
});

it('counts as many multiply-adds as the matrices have numbers, and more for attention to a longer context', () => {
  const { hiddenSize, intermediateSize, layerTypes, numHeads, numKvHeads, headDim } = CONFIGS.llama;
  const { mixer, mlp, headRow } = workOf(CONFIGS.llama);
  const attention = layerTypes.indexOf('full_attention');
  expect(mlp).toBe(3 * hiddenSize * intermediateSize);
  expect(headRow).toBe(hiddenSize);
  const matrices = hiddenSize * headDim * (2 * numHeads + 2 * numKvHeads);
  expect(mixer(attention, 0)).toBeGreaterThan(matrices);
  expect(mixer(attention, 0)).toBeLessThan(1.2 * matrices);
  expect(mixer(attention, 2000)).toBeGreaterThan(mixer(attention, 1000));
});
