import { describe, expect, it } from 'vitest';
import { estimateAnswer } from '../../../worker/routing/answer-lengths.ts';
import { answerPrior, estimateEdge, estimateOrigin } from '../../../worker/routing/estimate.ts';
import type { OriginEstimate } from '../../../worker/routing/estimates.ts';
import type { Outcome } from '../../../worker/routing/figures.ts';
import { type Learned, learn, learnedEdge, learnedOrigin, nothingLearned, wasAsleep } from '../../../worker/routing/learning.ts';
import { edgePrices, unknownOriginPrice } from '../../../worker/routing/prices.ts';

const start = 1_800_000_000_000;

/** An answer of 20 tokens by the origin, 300 ms and 15 ms a token, as predicted. */
const usual: Outcome = {
  at: start,
  key: 'k',
  kind: 'chat',
  route: 'origin',
  model: 'big',
  predicted: { beforeMs: 285, tokenMs: 15 },
  ttftMs: 300,
  totalMs: 585,
  promptTokens: 100,
  cachedTokens: 0,
  completionTokens: 20,
  gated: false,
  end: 'stop',
  pool: 'big',
  free: false,
  regions: null,
  asleep: null,
  undisturbed: true,
};
const byEdge: Partial<Outcome> = { route: 'edge', model: 'small', free: true };

/** So many outcomes, a second apart. */
function taught(count: number, outcome: (i: number) => Partial<Outcome>, learned: Learned = nothingLearned): Learned {
  for (let i = 0; i < count; i++) learned = learn(learned, { ...usual, at: start + 1000 * i, ...outcome(i) });
  return learned;
}

const origin = (learned: Learned, now = start + 200_000, regions: string[] | null = null) =>
  estimateOrigin(
    { model: 'big', failure: null },
    { price: unknownOriginPrice, contextTokens: null, regions: [null], quality: 1 },
    learnedOrigin(learned, 'big', regions, now),
    now,
  );
const edge = (learned: Learned, now = start + 200_000) =>
  estimateEdge(
    { model: 'small', refusal: null },
    { price: edgePrices.own, contextTokens: null, calibration: null },
    [learnedEdge(learned)].flatMap((seen) => seen ?? []),
    now,
  );

describe('lengths of answers', () => {
  const median = (learned: Learned, key: string, kind = 'chat') => estimateAnswer(learned.lengths, key, kind).p50;

  it('are those of the prior before any', () => {
    expect(estimateAnswer(nothingLearned.lengths, 'k', 'chat')).toEqual(answerPrior);
  });

  it('are learnt by key and kind, and less so by kind for everyone', () => {
    const learned = taught(50, () => ({ completionTokens: 8, kind: 'classify' }));
    expect(median(learned, 'k', 'classify')).toBeLessThan(15);
    expect(median(learned, 'other', 'classify')).toBeGreaterThan(median(learned, 'k', 'classify'));
    expect(median(learned, 'other', 'classify')).toBeLessThan(40);
    expect(median(learned, 'k', 'chat')).toBe(answerPrior.p50);
  });

  it('one answer alone moves them little', () => {
    expect(
      median(
        taught(1, () => ({ completionTokens: 2 })),
        'k',
      ),
    ).toBeGreaterThan(50);
  });

  it('that were cut off after a few tokens do not make answers seem short', () => {
    expect(
      median(
        taught(100, () => ({ completionTokens: 8, end: 'length' })),
        'k',
      ),
    ).toBeGreaterThan(100);
  });

  it('that were cut off count as longer than the limit', () => {
    const learned = taught(100, () => ({ completionTokens: 16, end: 'length' }));
    expect(median(learned, 'k')).toBeGreaterThan(20);
  });

  it('are kept for so many keys and no more: the least recently used go', () => {
    const learned = taught(1000, (i) => ({ key: i % 2 ? 'steady' : `key ${i}`, completionTokens: 8 }));
    expect(learned.lengths.size).toBeLessThanOrEqual(256);
    expect(median(learned, 'steady')).toBeLessThan(20);
    expect(median(learned, 'key 2')).toBe(median(learned, 'never seen'));
  });
});

describe('times of an origin', () => {
  it('are those that were seen: a fixed part, a part per token of prompt, and a part per token of answer', () => {
    const learned = taught(60, (i) => {
      const promptTokens = 100 + 50 * (i % 10);
      const ttftMs = 200 + 0.4 * promptTokens;
      return { promptTokens, ttftMs, totalMs: ttftMs + 19 * 12 };
    });
    const { roundTripMs, ttftBaseMs, ttftMsPerToken, tpotMs, warmth, measured } = origin(learned);
    expect(roundTripMs + ttftBaseMs).toBeGreaterThan(180);
    expect(roundTripMs + ttftBaseMs).toBeLessThan(220);
    expect(ttftMsPerToken).toBeCloseTo(0.4, 1);
    expect(Math.abs(tpotMs - 12)).toBeLessThan(1);
    expect(warmth).toBeGreaterThan(0.99);
    expect(measured).toBe(true);
  });

  it('are those of the regions where the request may go, as far as there were answers from there', () => {
    const far = { regions: ['na'], ttftMs: 900, totalMs: 900 + 19 * 40 };
    const learned = taught(120, (i) => (i % 2 ? { regions: ['eu'] } : far));
    const firstToken = (regions: string[] | null) => {
      const { roundTripMs, ttftBaseMs, ttftMsPerToken } = origin(learned, start + 200_000, regions);
      return roundTripMs + ttftBaseMs + 100 * ttftMsPerToken;
    };
    expect(firstToken(['eu'])).toBeLessThan(360);
    expect(firstToken(['na'])).toBeGreaterThan(750);
    expect(origin(learned, start + 200_000, ['na']).tpotMs / origin(learned, start + 200_000, ['eu']).tpotMs).toBeGreaterThan(2);
    // Where nobody has answered yet, what is known of the pool is the best guess.
    expect(origin(learned, start + 200_000, ['asia'])).toEqual(origin(learned));
    expect(origin(learned, start + 200_000, ['asia']).measured).toBe(true);
  });

  it('that one answer of a region does not tell are those of the pool', () => {
    const learned = learn(
      taught(50, () => ({ totalMs: 300 + 19 * 30 })),
      { ...usual, at: start + 60_000, regions: ['eu'], completionTokens: 1, totalMs: 300 },
    );
    expect(origin(learned, start + 61_000, ['eu']).tpotMs).toBeCloseTo(origin(learned, start + 61_000).tpotMs, 0);
  });

  it('a node that was up elsewhere may be down here', () => {
    const gpu = { price: unknownOriginPrice, contextTokens: null, regions: ['eu', 'na'], quality: 1 };
    const warmth = (learned: Learned, region: string, now: number) =>
      estimateOrigin({ model: 'big', failure: null }, gpu, learnedOrigin(learned, 'big', [region], now), now).warmth;
    const learned = learn(
      taught(1, () => ({ regions: ['eu'] })),
      { ...usual, at: start + 3_600_000, regions: ['na'] },
    );
    const [here, there] = ['na', 'eu'].map((region) => warmth(learned, region, start + 3_601_000)) as [number, number];
    expect(here).toBeGreaterThan(0.99);
    expect(there).toBeLessThan(here);
  });

  it('a node that is kept up by requests of some regions is up for those that may go anywhere', () => {
    const gpu = { price: unknownOriginPrice, contextTokens: null, regions: ['eu'], quality: 1 };
    const learned = learn(
      taught(1, () => ({ regions: null })),
      { ...usual, at: start + 3_600_000, regions: ['eu'] },
    );
    const now = start + 3_601_000;
    expect(estimateOrigin({ model: 'big', failure: null }, gpu, learnedOrigin(learned, 'big', null, now), now).warmth).toBeGreaterThan(
      0.99,
    );
  });

  it('are kept for so many sets of regions and no more', () => {
    expect(taught(100, (i) => ({ regions: [`r${i}`] })).pools.get('big')!.byRegions.size).toBe(16);
  });

  it('are not bent by prompts that are all alike', () => {
    const { ttftMsPerToken, roundTripMs, ttftBaseMs } = origin(taught(50, (i) => ({ ttftMs: 300 + (i % 3), promptTokens: 100 })));
    expect(ttftMsPerToken).toBeLessThan(1);
    expect(roundTripMs + ttftBaseMs + 100 * ttftMsPerToken).toBeGreaterThan(270);
  });

  it('one absurd answer changes them by less than a half', () => {
    const learned = taught(50, () => ({}));
    const poisoned = learn(learned, { ...usual, at: start + 60_000, ttftMs: 5e6, totalMs: 9e7, completionTokens: 5 });
    expect(origin(poisoned).tpotMs / origin(learned).tpotMs).toBeLessThan(1.5);
    expect(origin(poisoned).ttftBaseMs / origin(learned).ttftBaseMs).toBeLessThan(1.5);
  });

  it('are not learnt from what was disturbed, broke off or makes no sense', () => {
    const learned = taught(30, () => ({}));
    for (const odd of [
      { undisturbed: false, ttftMs: 90_000, totalMs: 95_000 },
      { end: 'cancelled' as const, totalMs: 5, completionTokens: 1 },
      { end: 'failed' as const, totalMs: 60_000, completionTokens: 0 },
      { totalMs: Number.NaN },
      { ttftMs: -5 },
      { at: Number.POSITIVE_INFINITY },
    ]) {
      const { tpotMs, ttftBaseMs } = origin(taught(20, () => odd, learned));
      expect(tpotMs).toBeCloseTo(origin(learned).tpotMs, 5);
      expect(ttftBaseMs).toBeCloseTo(origin(learned).ttftBaseMs, 5);
    }
  });

  it('a pool that only failed is not taken for warm', () => {
    const learned = taught(5, () => ({ end: 'failed', completionTokens: 0 }));
    expect(origin(learned).warmth).toBeCloseTo(0.98);
  });

  it('a pool that was found asleep after a silence is expected to be, once it has been idle for as long as it is kept', () => {
    const asleep = taught(6, () => ({ asleep: true, ttftMs: 121_000, totalMs: 121_400, undisturbed: false }));
    const last = start + 5_000;
    expect(origin(asleep, last + 290_000).warmth).toBe(1);
    expect(origin(asleep, last + 600_000).warmth).toBeLessThan(0.2);
    expect(
      origin(
        taught(6, () => ({})),
        last + 600_000,
      ).warmth,
    ).toBeGreaterThan(0.97);
    // Found up a few times after such a silence, it is somebody else's, too.
    const shared = taught(8, (i) => ({ at: last + 600_000 * (i + 1), asleep: false }), asleep);
    expect(origin(shared, last + 600_000 * 8 + 600_000).warmth).toBeGreaterThan(0.9);
    // Pools are set up anew: in a day that is forgotten.
    expect(origin(asleep, last + 48 * 3_600_000).warmth).toBeGreaterThan(0.95);
  });

  it('are kept for so many pools and no more', () => {
    expect(taught(300, (i) => ({ model: `pool ${i}`, pool: `pool ${i}` })).pools.size).toBe(64);
  });
});

describe('what an answer says of the pool', () => {
  const said = (idleMs: number | null, ttftMs: number | null, totalMs = 2_000, price: OriginEstimate['price'] = unknownOriginPrice) =>
    wasAsleep({ ...origin(nothingLearned), price, idleMs }, { beforeMs: 300, tokenMs: 20 }, { ttftMs, totalMs, completionTokens: 50 });

  it('is that it was asleep where the answer was late by half of a start, with a stream or without', () => {
    expect([said(null, 121_000), said(400_000, 121_000), said(null, null, 121_000)]).toEqual([true, true, true]);
    // A long answer is not late.
    expect(
      wasAsleep(
        { ...origin(nothingLearned), idleMs: null },
        { beforeMs: 300, tokenMs: 20 },
        { ttftMs: null, totalMs: 70_000, completionTokens: 3_400 },
      ),
    ).toBe(false);
  });

  it('is that it was up where nobody had been heard of for longer than it is kept', () => {
    expect([said(null, 400), said(400_000, 400)]).toEqual([false, false]);
  });

  it('is nothing where it is kept still, however late: it is slow, or full', () => {
    expect([said(200_000, 400), said(1_000, 121_000), said(1_000, null, 121_000)]).toEqual([null, null, null]);
  });

  it('is nothing of one that never sleeps', () => {
    expect(said(null, 121_000, 122_000, { by: 'tokens', input: 1, output: 1 })).toBe(null);
    expect(said(null, 121_000, 122_000, { ...unknownOriginPrice, keepSeconds: null })).toBe(null);
  });
});

describe('the spread of predictions', () => {
  it('widens where they are often wrong, and shifts where they are always wrong', () => {
    const exact = taught(100, () => ({}));
    const noisy = taught(100, (i) => ({ totalMs: i % 4 === 0 ? 2000 : 585, ttftMs: i % 4 === 0 ? 1500 : 300 }));
    const late = taught(100, () => ({ ...byEdge, ttftMs: 600, totalMs: 1170 }));
    expect(origin(exact).totalSpread.p95).toBeLessThan(1.3);
    expect(origin(noisy).totalSpread.p95).toBeGreaterThan(2.5);
    expect(edge(late).totalSpread.p50).toBeGreaterThan(1.6);
    expect(edge(late).ttftSpread.p50).toBeGreaterThan(1.6);
  });

  it('is the prior until there is enough to go by', () => {
    expect(origin(taught(3, () => ({}))).totalSpread).toEqual({ p50: 1, p95: 2 });
  });
});

describe('traffic', () => {
  it('tells requests that could go either way, whoever answered, from those that could not', () => {
    const learned = taught(3600, (i) => (i % 4 === 0 ? {} : byEdge));
    const { committedPerSecond, freePerSecond } = origin(learned, start + 3_600_000);
    expect(committedPerSecond).toBeCloseTo(0.25, 1);
    expect(freePerSecond).toBeCloseTo(0.75, 1);
  });

  it('fades when there is none', () => {
    const learned = taught(3600, () => ({}));
    expect(origin(learned, start + 2 * 3_600_000).committedPerSecond).toBeLessThan(0.01);
  });
});

describe('escalations', () => {
  it('are counted among gated answers only', () => {
    const gatedAnswers = taught(200, (i) => ({ ...byEdge, gated: true, end: i % 2 ? 'escalated' : 'stop' }));
    expect(Math.abs(edge(gatedAnswers).escalationRate - 0.5)).toBeLessThan(0.1);
    expect(edge(taught(200, () => byEdge)).escalationRate).toBeCloseTo(0.1);
  });
});

it('what was learnt is not changed by learning more', () => {
  const learned = taught(20, () => ({}));
  const before = structuredClone(learned);
  taught(20, () => byEdge, learned);
  expect(learned).toEqual(before);
});
