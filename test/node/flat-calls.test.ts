import { expect, it } from 'vitest';
import type { HeadQuery, SliceAnswer } from '../../wasm/engine/stage.ts';
import {
  decodeAnswers,
  decodeQuestion,
  decodeStep,
  decodeStepped,
  encodeAnswers,
  encodeQuestion,
  encodeStep,
  encodeStepped,
} from '../../worker/edge/pipeline/flat-calls.ts';

const floats = (count: number, seed: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(seed + i) * 10 ** ((i % 9) - 4));

it('carries a step there and its hidden states back', () => {
  const batch = [
    { session: 's1', position: 0, hidden: floats(24, 1) },
    { session: 's123456', position: 511, hidden: floats(8, 2) },
    { session: 'é', position: 2 ** 31, hidden: floats(16, 3) },
  ];
  for (const some of [batch, batch.slice(0, 1), []]) {
    expect(decodeStep(encodeStep(some))).toEqual(some);
    const results = some.map(({ hidden }) => ({ hidden: hidden.map((value) => value * 2), head: null }));
    expect(decodeStepped(encodeStepped(results), some)).toEqual(results);
  }
});

it('carries hidden states that are part of a longer run', () => {
  const batch = [{ session: 'a', position: 3, hidden: floats(24, 1).subarray(8, 16) }];
  expect(decodeStep(encodeStep(batch))[0]!.hidden).toEqual(floats(24, 1).slice(8, 16));
  expect(decodeStepped(encodeStepped([{ hidden: batch[0]!.hidden, head: null }]), batch)[0]!.hidden).toEqual(floats(24, 1).slice(8, 16));
});

it('carries a question', () => {
  const adjust = {
    bias: [[7, -100.25]] as [number, number][],
    generated: [[3, 2]] as [number, number][],
    presencePenalty: 0.1,
    frequencyPenalty: -2,
    repetitionPenalty: 1 / 3,
    prompt: [1, 2],
  };
  const queries: HeadQuery[] = [
    { candidates: 20, adjust, draw: null, massTemperature: 0.7, drawAmong: { seed: 2 ** 32 - 1, step: 9, temperature: 0.1 } },
    { candidates: 0, adjust: null, draw: { seed: 1, step: 2, temperature: 1.1 } },
  ];
  expect(decodeQuestion(encodeQuestion(floats(16, 4), queries))).toEqual([floats(16, 4), queries]);
});

it('carries answers, whatever they hold', () => {
  const answer = (k: number, changes: Partial<SliceAnswer> = {}): SliceAnswer => ({
    ids: Int32Array.from({ length: k }, (_, i) => 248_319 - i),
    logits: floats(k, 5),
    rawLogits: floats(k, 6),
    logSumExp: Math.PI,
    rawLogSumExp: Number.NEGATIVE_INFINITY,
    sums: [1 / 3, Number.NEGATIVE_INFINITY, 5e-324],
    rawSums: [0.1, 0.2, 0.3],
    drawn: { id: 0, score: 1 / 7, logit: -0.5, rawLogit: 1e300 },
    next: { id: 0, row: floats(8, 7) },
    ...changes,
  });
  const answers = [answer(3), answer(0, { drawn: null, next: null }), answer(20, { next: null, sums: [], rawSums: [] }), answer(1)];
  expect(decodeAnswers(encodeAnswers(answers), 4)).toEqual(answers);
});
