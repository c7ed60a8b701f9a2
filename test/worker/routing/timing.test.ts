import { describe, expect, it } from 'vitest';
import { edgeTiming, meanOf, originTiming, withRisk } from '../../../worker/routing/timing.ts';
import { edgeEstimate, originEstimate } from './estimates.ts';

const exact = { p50: 1, p95: 1 };
const sure = { ttftSpread: exact, totalSpread: exact, warmth: 1 };
const edge = edgeEstimate({ ...sure, prefill: 100, decode: 20, roundTripMs: 10, slots: 4 });
const origin = originEstimate({ ...sure, roundTripMs: 50, ttftBaseMs: 100, ttftMsPerToken: 0.5, tpotMs: 20, slots: 8 });
const twenty = { p50: 20, p95: 20 };

describe('expected times', () => {
  it('of the edge: the way, the prompt by the prefill rate, the answer by the decode rate', () => {
    const { ttft, total } = edgeTiming(edge, 30, twenty);
    expect(ttft.p50).toBeCloseTo(10 + 300 + 50);
    expect(total.p50).toBeCloseTo(10 + 300 + 20 * 50);
    expect(total.p95).toBeCloseTo(total.p50);
  });

  it('of the edge in company: slower decoding, and a queue once its slots are taken', () => {
    const shared = edgeTiming({ ...edge, running: 3 }, 30, twenty);
    expect(shared.parts.queueMs).toBe(0);
    expect(shared.total.p50).toBeGreaterThan(edgeTiming(edge, 30, twenty).total.p50);
    expect(edgeTiming({ ...edge, running: 4, queued: 3, serviceMs: 2000 }, 30, twenty).parts.queueMs).toBe(2000);
  });

  it('of the edge that has to load: all of the load in both quantiles', () => {
    const cold = edgeTiming({ ...edge, warmth: 0, loadMs: 5000 }, 30, twenty);
    expect(cold.ttft.p50 - edgeTiming(edge, 30, twenty).ttft.p50).toBeCloseTo(5000);
    expect(cold.total.p95 - edgeTiming(edge, 30, twenty).total.p95).toBeCloseTo(5000);
  });

  it('of an origin: the way, its queue, its time to first token, the answer by its time per token', () => {
    const { ttft, total, parts } = originTiming({ ...origin, waiting: 16, serviceMs: 500 }, 100, twenty);
    expect(parts.queueMs).toBe(1000);
    expect(ttft.p50).toBeCloseTo(50 + 1000 + 150 + 20);
    expect(total.p50).toBeCloseTo(50 + 1000 + 150 + 400);
  });

  it('of others: who shares the edge, and who comes behind while a queue at the origin lasts', () => {
    const others = (timing: { parts: { othersMs: number } }) => timing.parts.othersMs;
    expect(others(edgeTiming(edge, 30, twenty))).toBe(0);
    expect(others(edgeTiming({ ...edge, running: 1 }, 30, twenty))).toBeGreaterThan(300);
    expect(others(edgeTiming({ ...edge, running: 4, queued: 3 }, 30, twenty))).toBeGreaterThan(
      3 * others(edgeTiming({ ...edge, running: 2 }, 30, twenty)),
    );
    expect(others(originTiming(origin, 100, twenty))).toBe(0);
    // 550 ms on one of eight places, for each of nine behind each of the sixteen.
    expect(others(originTiming({ ...origin, waiting: 16 }, 100, twenty))).toBeCloseTo((9 * 16 * 550) / 8);
  });

  it('are as wide as lengths and errors together, and wider than each', () => {
    const width = ({ total }: { total: { p50: number; p95: number } }) => total.p95 / total.p50;
    const lengths = originTiming(origin, 100, { p50: 20, p95: 80 });
    const errors = originTiming({ ...origin, totalSpread: { p50: 1, p95: 2 } }, 100, twenty);
    const both = originTiming({ ...origin, totalSpread: { p50: 1, p95: 2 } }, 100, { p50: 20, p95: 80 });
    expect(width(errors)).toBeCloseTo(2);
    expect(width(both)).toBeGreaterThan(Math.max(width(lengths), width(errors)));
    expect(width(both)).toBeLessThan(width(lengths) * width(errors));
  });
});

describe('a wait that may happen', () => {
  const time = { p50: 100, p95: 300 };

  it('is in the mean as its expectation, and in a quantile where it is likely enough', () => {
    expect(withRisk(time, 0.02, 60_000)).toEqual({ p50: 100, p95: 300, mean: meanOf(time) + 1200 });
    expect(withRisk(time, 0.1, 60_000)).toMatchObject({ p50: 100, p95: 60_300 });
    expect(withRisk(time, 1, 60_000)).toMatchObject({ p50: 60_100, p95: 60_300 });
  });

  it('the mean is that of a log-normal time, about', () => {
    const sigma = Math.log(3) / 1.645;
    expect(meanOf(time) / (100 * Math.exp(sigma ** 2 / 2))).toBeCloseTo(1, 1);
    expect(meanOf({ p50: 7, p95: 7 })).toBeCloseTo(7);
    expect(meanOf({ p50: 0, p95: 0 })).toBe(0);
  });
});
