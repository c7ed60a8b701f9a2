import { expect, it } from 'vitest';
import { retryAfter } from '../../worker/edge/retry-after.ts';

const rates = { prefill: 100, decode: 10 };

it('is the time until the first answer reaches its limit', () => {
  expect(
    retryAfter(
      [
        { prompt: 0, answer: 100 },
        { prompt: 150, answer: 25 },
      ],
      rates,
    ),
  ).toBe(4);
});

it('counts prompts at the decode rate until theirs is measured', () => {
  expect(retryAfter([{ prompt: 30, answer: 20 }], { prefill: null, decode: 10 })).toBe(5);
});

it('is a whole second at least, and bounded', () => {
  expect(retryAfter([{ prompt: 0, answer: 1 }], rates)).toBe(1);
  expect(retryAfter([{ prompt: 0, answer: 100_000 }], rates)).toBe(30);
});

it('is a guess where nothing is known', () => {
  expect(retryAfter([{ prompt: 0, answer: 100 }], { prefill: null, decode: null })).toBe(2);
  expect(retryAfter([], rates)).toBe(2);
});
