import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DENSE_NAMES, MAX_BYTES, promptFeatures } from '../../../worker/difficulty/features.ts';

/** Written by models/router/train with the features and the model of Python. */
const cases = JSON.parse(readFileSync(new URL('../../fixtures/difficulty.json', import.meta.url), 'utf8')) as {
  text: string;
  ids: number[];
  dense: number[];
}[];

describe('features of a prompt are those that the model was trained on', () => {
  it.each(cases.map((entry) => [entry.text.slice(0, 40), entry] as const))('%j', (_, { text, ids, dense }) => {
    const features = promptFeatures(text);
    expect([...features.ids].sort((a, b) => a - b)).toEqual(ids);
    expect(features.dense).toHaveLength(DENSE_NAMES.length);
    dense.forEach((value, i) => {
      expect(features.dense[i], DENSE_NAMES[i]).toBeCloseTo(value, 5);
    });
  });
});

it('counts only the last bytes of a long prompt, even where the cut falls into a character', () => {
  const tail = 'q'.repeat(MAX_BYTES - 1);
  expect(promptFeatures(`${'x '.repeat(5000)}🎉${tail}`)).toEqual(promptFeatures(`🎉${tail}`));
});

it('gives different prompts different features', () => {
  expect(promptFeatures('the dog bit the man').ids).not.toEqual(promptFeatures('the man bit the dog').ids);
});
