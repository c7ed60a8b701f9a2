import { describe, expect, it } from 'vitest';
import { priorCalibration } from '../../../models/capability/prior.ts';
import { readSignals } from '../../../models/capability/signals.ts';
import type { ModelConfig } from '../../../models/config.ts';
import { capability } from '../../../worker/routing/capability.ts';
import { plainFeatures } from '../../../worker/routing/types.ts';

const judged = (content: string, more: object = {}) => ({
  ...plainFeatures,
  promptBytes: content.length,
  maxTokens: null,
  ...readSignals([{ role: 'user', content }]),
  ...more,
});
const small = { architecture: 'qwen3_5', hiddenSize: 1024, intermediateSize: 3584, layerTypes: Array(24).fill('full_attention') };
const config = (changes: object = {}) => ({ ...small, ...changes }) as ModelConfig;
const prior = priorCalibration('edge', config());
const probability = (content: string, more?: object, calibration = prior) => capability(judged(content, more), calibration).probability;

describe('the prior of a model that nobody has calibrated', () => {
  it('is told from a measurement', () => {
    expect(capability(judged('Hi'), prior).calibrated).toBe(false);
    expect(capability(judged('Hi'), { ...prior, calibrated: true }).calibrated).toBe(true);
    expect(capability(judged('Hi'), null).calibrated).toBe(false);
  });

  it('expects more of easy kinds than of hard ones', () => {
    const [classify, open, code] = [
      'Is this positive or negative? The soup was cold.',
      'Tell me about Rome.',
      'Write a Python function that sorts a list.',
    ].map((prompt) => probability(prompt)) as [number, number, number];
    expect(classify).toBeGreaterThan(open);
    expect(open).toBeGreaterThan(code);
  });

  it('expects less of long prompts, long answers and many constraints', () => {
    const plain = probability('Summarize this: the committee met.');
    expect(probability(`Summarize this: ${'the committee met again. '.repeat(300)}`)).toBeLessThan(plain);
    expect(probability('Summarize this: the committee met.', { maxTokens: 4000 })).toBeLessThan(plain);
    expect(
      probability('Summarize this without names, in exactly the given format, and never use adjectives: the committee met.'),
    ).toBeLessThan(plain);
  });

  it('expects more of larger models', () => {
    const shapes = [
      { hiddenSize: 256 },
      { architecture: 'llama', hiddenSize: 576 },
      {},
      { hiddenSize: 2048, intermediateSize: 6144 },
      { hiddenSize: 2560, intermediateSize: 9216, layerTypes: Array(32).fill('full_attention') },
    ];
    const values = shapes.map((shape) => probability('Summarize this: the committee met.', {}, priorCalibration('edge', config(shape))));
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(new Set(values).size).toBe(shapes.length);
  });

  it('says something of any shape', () => {
    const odd = priorCalibration('odd', config({ architecture: 'llama', hiddenSize: 1536 }));
    expect(probability('Hi', {}, odd)).toBeGreaterThan(0.1);
  });
});

it('takes the difficulty model into account where it has spoken', () => {
  const plain = probability('Tell me about Rome.');
  expect(probability('Tell me about Rome.', { difficulty: { weakFails: 0.9, strongHelps: 0.5 } })).toBeLessThan(plain);
  expect(probability('Tell me about Rome.', { difficulty: { weakFails: 0.05, strongHelps: 0.01 } })).toBeGreaterThan(plain);
});

it('sets the score right by the reliability curve', () => {
  const weights = { intercept: 0 };
  const at = (curve: [number, number][]) => capability(judged('Hi'), { weights, curve, calibrated: true }).probability;
  expect(at([])).toBe(0.5);
  expect(
    at([
      [0.25, 0.1],
      [0.75, 0.5],
    ]),
  ).toBeCloseTo(0.3, 12);
  expect(
    at([
      [0.6, 0.2],
      [0.8, 0.5],
    ]),
  ).toBe(0.2);
  expect(
    at([
      [0.1, 0.2],
      [0.4, 0.45],
    ]),
  ).toBe(0.45);
});

it('stays a probability, whatever a calibration says', () => {
  for (const weight of [1e300, -1e300, Number.NaN]) {
    const { probability } = capability(judged('Hi'), { weights: { intercept: weight }, curve: [], calibrated: true });
    expect(probability).toBeGreaterThanOrEqual(0);
    expect(probability).toBeLessThanOrEqual(1);
  }
});
