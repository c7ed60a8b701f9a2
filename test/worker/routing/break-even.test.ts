import { describe, expect, it } from 'vitest';
import { decide } from '../../../worker/routing/decide.ts';
import { edgeUsd, originUsd } from '../../../worker/routing/money.ts';
import { policyOf } from '../../../worker/routing/policies.ts';
import { edgePrices, unknownOriginPrice } from '../../../worker/routing/prices.ts';
import { edgeTiming } from '../../../worker/routing/timing.ts';
import { edgeEstimate, estimates, limits, originEstimate, plain } from './estimates.ts';

/** 32 tokens of prompt and 16 of answer, on an idle warm edge. */
const answer = { p50: 16, p95: 16 };
const alone = edgeEstimate({ warmth: 1 });
const seconds = (usd: number) => usd * 1e6;

const edgeCost = (price: (typeof edgePrices)[keyof typeof edgePrices]) => {
  const edge = { ...alone, price };
  return edgeUsd(edge, edgeTiming(edge, 32, answer).busyMs).usd;
};

/** A GPU at $1 an hour with requests per hour that could go either way, and such that could not. */
const gpu = (freePerHour: number, committedPerHour = 0, more = {}) =>
  originUsd(
    originEstimate({ warmth: 1, use: 0, freePerSecond: freePerHour / 3600, committedPerSecond: committedPerHour / 3600, ...more }),
    32,
    16,
    500,
  ).usd;

describe('what 32 + 16 tokens cost at the edge', () => {
  it('is 2.4 CPU-seconds, $48e-6 of Workers CPU time', () => {
    expect(edgeTiming(alone, 32, answer).busyMs / 1000).toBeCloseTo(2.4, 1);
    expect(seconds(edgeCost(edgePrices.worker) - edgePrices.worker.usdPerRequest)).toBeCloseTo(48, 0);
  });

  it.each([
    ['durable-object', 2.4 * 0.128 * 12.5 + 0.15],
    ['container', 2.4 * (0.5 * 20 + 4 * 2.5) + 0.3],
    ['own', (2.4 * 50_000) / 3600],
  ] as const)('%s: by what is billed there', (place, millionths) => {
    expect(edgeCost(edgePrices[place]) * 1e6).toBeCloseTo(millionths, 0);
  });

  it('is less for each of several that share the turns, and more with a load', () => {
    const shared = edgeUsd(alone, edgeTiming({ ...alone, running: 3 }, 32, answer).busyMs).usd;
    expect(shared).toBeLessThan(edgeUsd(alone, edgeTiming(alone, 32, answer).busyMs).usd);
    const cold = { ...alone, warmth: 0 };
    expect(edgeUsd(cold, 2400).usd / edgeUsd(alone, 2400).usd).toBeCloseTo(1 + 1500 / 2400, 1);
  });
});

describe('what they cost on a GPU by the hour', () => {
  it('that nobody else keeps: the hour, shared by all requests like this; $48e-6 at some 20,000 an hour', () => {
    for (const perHour of [1000, 20_000, 100_000]) expect(gpu(perHour) * perHour).toBeCloseTo(1, 2);
    expect(gpu(10_000)).toBeGreaterThan(48e-6);
    expect(gpu(25_000)).toBeLessThan(48e-6);
  });

  it('that hardly anybody uses: all of the time that it is kept, and not more', () => {
    expect(gpu(0.001)).toBeCloseTo(300 / 3600, 3);
    expect(gpu(0)).toBeCloseTo(300 / 3600, 3);
  });

  it('that others keep anyway and that is idle: next to nothing', () => {
    expect(gpu(100, 1000)).toBeLessThan(1e-9);
    expect(gpu(100, 12)).toBeLessThan(gpu(100, 6));
  });

  it('that was used just now: the time since then, and all of its time where that is long ago', () => {
    const idle = (seconds: number, committedPerHour = 0) => gpu(100, committedPerHour, { idleMs: 1000 * seconds, use: 0 }) * 3600;
    // Half a second for itself.
    expect(idle(0)).toBeCloseTo(0.5, 6);
    expect(idle(10)).toBeCloseTo(10.5, 6);
    expect(idle(299.5)).toBeCloseTo(300, 6);
    expect(idle(5_000)).toBeCloseTo(300, 6);
    // On a node that others use meanwhile it is shared.
    expect(gpu(100, 0, { idleMs: 0, use: 0.125 }) * 3600).toBeCloseTo(0.5 / 5 + (0.125 * 0.5) / 32, 6);
  });

  it('that was used just now, and that others come back to: less, as they keep it then', () => {
    const idle = (committedPerHour: number) => gpu(100, committedPerHour, { idleMs: 60_000, use: 0 });
    expect(idle(6)).toBeLessThan(0.7 * idle(0));
    expect(idle(12)).toBeLessThan(0.7 * idle(6));
    expect(idle(1_000)).toBeLessThan(1e-9);
  });

  it('all together pay for the time that they keep it', () => {
    const gaps = [3, 40, 7, 120, 1, 0.5, 60];
    const paid = gaps.reduce((sum, gap) => sum + gpu(100, 0, { idleMs: 1000 * gap, use: 0 }), 0) * 3600;
    expect(paid).toBeCloseTo(
      gaps.reduce((sum, gap) => sum + gap + 0.5, 0),
      6,
    );
  });

  it('that is always on and idle: nothing; in use: the place it takes', () => {
    const price = { ...unknownOriginPrice, keepSeconds: null };
    expect(gpu(1, 0, { price })).toBe(0);
    expect(gpu(1, 0, { price, use: 0.5 })).toBeCloseTo((0.5 * 0.5) / 3600 / 32, 8);
  });

  it('that has to be started: a lot for a single request, little where many follow', () => {
    expect(gpu(0, 0, { warmth: 0 })).toBeCloseTo(420 / 3600, 3);
    expect(gpu(36_000, 0, { warmth: 0 })).toBeLessThan(50e-6);
  });

  it('that has to be added, as the others are full: a lot, unless nobody adds any', () => {
    const price = { ...unknownOriginPrice, keepSeconds: null };
    expect(gpu(0, 0, { price, use: 1 })).toBeGreaterThan(100 * gpu(0, 0, { price, use: 0.7 }));
    expect(gpu(0, 0, { price: { ...price, scalesOut: false }, use: 1 })).toBeLessThan(1e-5);
  });

  it('that has to be added, shared by all that come while it is there', () => {
    const price = { ...unknownOriginPrice, keepSeconds: null };
    const burst = gpu(0, 0, { price, use: 1 });
    expect(burst).toBeCloseTo((120 + 600) / 3600 / 32, 3);
    // At ten a second a node of 720 s is shared by more than 7,000.
    expect(gpu(18_000, 18_000, { price, use: 1 })).toBeLessThan(burst / 100);
  });

  it('changes little with little, in every figure', () => {
    const figures = { use: 0.9, warmth: 0.5, committedPerSecond: 0.001, freePerSecond: 0.01 };
    for (const name of Object.keys(figures) as (keyof typeof figures)[]) {
      for (let value = 0; value < 1; value += 0.05) {
        const [a, b] = [value, value + 1e-6].map((x) => originUsd(originEstimate({ ...figures, [name]: x }), 32, 16, 500).usd);
        expect(Math.abs(a! - b!)).toBeLessThan(1e-4);
      }
    }
  });

  it('by tokens: the list price', () => {
    const origin = originEstimate({ price: { by: 'tokens', input: 0.1, output: 0.4 } });
    expect(originUsd(origin, 1000, 500, 1)).toEqual({ usd: 0.0003, startUsd: 0 });
  });
});

/** Edge in a plain Worker; the origin answers in half a second. */
describe('which way they go by cost', () => {
  const policy = policyOf('cost', limits);
  const features = { ...plain, promptTokens: 32, maxTokens: 16 };
  const edge = edgeEstimate({ warmth: 1, price: edgePrices.worker });
  const goesTo = (known: Parameters<typeof originEstimate>[0]) =>
    decide(features, estimates({ edge, origins: [originEstimate({ warmth: 1, use: 0, ...known })] }), policy).route;

  it.each<[number, string]>([
    [10, 'edge'],
    [1_000, 'edge'],
    [8_000, 'edge'],
    [40_000, 'origin'],
  ])('%i requests an hour on a GPU of their own: %s', (perHour, route) => {
    expect(goesTo({ freePerSecond: perHour / 3600 })).toBe(route);
  });

  it('a warm GPU that others keep wins, a cold one, a full one and a far dear one do not', () => {
    const kept = { freePerSecond: 0.01, committedPerSecond: 1 };
    expect(goesTo(kept)).toBe('origin');
    expect(goesTo({ ...kept, warmth: 0 })).toBe('edge');
    expect(goesTo({ ...kept, use: 1, waiting: 100 })).toBe('edge');
    expect(goesTo({ price: { by: 'tokens', input: 5, output: 15 }, roundTripMs: 500 })).toBe('edge');
  });
});
