import { describe, expect, it } from 'vitest';
import { type Gate, gateStatistic } from '../../../models/capability/gate.ts';
import { gateAlternatives, gateVerdict, tokenConfidence } from '../../../worker/routing/gate.ts';

const gate: Gate = { tokens: 4, statistic: 'quantile', quantile: 0.4, threshold: -1, declines: ["Sorry, I can't"] };
const verdict = (logprobs: number[], { text = 'Paris', finished = false, change = {} } = {}) =>
  gateVerdict({ tokens: logprobs.map((logprob) => ({ logprob, margin: -logprob })), text, finished }, { ...gate, ...change });

describe('the confidence gate', () => {
  it('waits for the tokens it looks at, then decides', () => {
    expect(verdict([])).toBe('wait');
    expect(verdict([-0.1, -0.1, -0.1])).toBe('wait');
    expect(verdict([-0.1, -0.1, -0.1, -0.1])).toBe('accept');
    expect(verdict([-0.1, -3, -3, -0.1])).toBe('escalate');
  });

  it('forgives as many unsure tokens as the quantile does, and looks at no later ones', () => {
    expect(verdict([-0.1, -9, -0.1, -0.1])).toBe('accept');
    expect(verdict([-0.1, -0.1, -0.1, -0.1, -9, -9, -9])).toBe('accept');
  });

  it('escalates as soon as no further token could help', () => {
    expect(verdict([-3])).toBe('wait');
    expect(verdict([-3, -3])).toBe('escalate');
    expect(verdict([-3], { change: { quantile: 0 } })).toBe('escalate');
  });

  it('judges a shorter answer by what it has', () => {
    expect(verdict([-0.1], { finished: true })).toBe('accept');
    expect(verdict([-3], { finished: true })).toBe('escalate');
    expect(verdict([], { finished: true })).toBe('escalate');
  });

  it('never calls early what the whole would be called otherwise', () => {
    const values = [-0.2, -1.5];
    for (let bits = 0; bits < 16; bits++) {
      const logprobs = [0, 1, 2, 3].map((i) => values[(bits >> i) & 1]!);
      const whole = verdict(logprobs);
      for (let n = 1; n < 4; n++) expect(['wait', whole]).toContain(verdict(logprobs.slice(0, n)));
    }
  });

  it('escalates an answer that declines, however sure, and waits where it may still become one', () => {
    expect(verdict([0, 0, 0, 0], { text: "Sorry, I can't help with that." })).toBe('escalate');
    expect(verdict([0, 0, 0, 0], { text: 'Sorry, I' })).toBe('wait');
    expect(verdict([0, 0, 0, 0], { text: 'Sorry, I', finished: true })).toBe('accept');
    expect(verdict([0, 0, 0, 0], { text: 'Sorry to hear' })).toBe('accept');
  });

  it('goes by margins, and does not trust an answer without them', () => {
    const margins: Gate = { ...gate, statistic: 'margin', quantile: 0, threshold: 0.5 };
    const seen = (...values: (number | null)[]) =>
      gateVerdict({ tokens: values.map((margin) => ({ logprob: 0, margin })), text: 'x', finished: true }, margins);
    expect(seen(0.6, 2)).toBe('accept');
    expect(seen(0.4, 2)).toBe('escalate');
    expect(seen(null, 2)).toBe('escalate');
  });
});

it('takes the value of nearest rank for a quantile', () => {
  const tokens = [5, 1, 4, 2, 3].map((logprob) => ({ logprob, margin: null }));
  const at = (quantile: number) => gateStatistic(tokens, { tokens: 5, statistic: 'quantile', quantile });
  expect([0, 0.25, 0.5, 0.74, 1].map(at)).toEqual([1, 2, 3, 3, 5]);
});

it('asks the engine for two alternatives where it needs margins', () => {
  expect(gateAlternatives(gate)).toBe(0);
  expect(gateAlternatives({ ...gate, statistic: 'margin' })).toBe(2);
  expect(tokenConfidence({ logprob: -0.5, top_logprobs: [{ logprob: -0.5 }, { logprob: -2 }] })).toEqual({ logprob: -0.5, margin: 1.5 });
  expect(tokenConfidence({ logprob: -0.5, top_logprobs: [] }).margin).toBe(null);
});
