import { describe, expect, it } from 'vitest';
import {
  eject,
  failed,
  type Health,
  healthy,
  isAvailable,
  isCold,
  released,
  seenBack,
  sent,
  slowOutlier,
  succeeded,
} from '../../../worker/origin/ejection.ts';

const fails = (health: Health, times: number, now: number, unavailable = false): Health => {
  let next = health;
  for (let i = 0; i < times; i++) next = failed(next, now, unavailable);
  return next;
};

describe('ejection', () => {
  it('takes three failures in a row', () => {
    expect(isAvailable(fails(healthy, 2, 1000), 1000)).toBe(true);
    expect(isAvailable(fails(succeeded(fails(healthy, 2, 1000), 1001), 2, 1002), 1002)).toBe(true);
    expect(isAvailable(fails(healthy, 3, 1000), 1000)).toBe(false);
  });

  it('lets exactly one request try when the time is up', () => {
    const out = fails(healthy, 3, 1000);
    expect(isAvailable(out, 5_999)).toBe(false);
    expect(isAvailable(out, 6_000)).toBe(true);
    const tried = sent(out, 6_000);
    expect(isAvailable(tried, 6_001)).toBe(false);
    expect(isAvailable(succeeded(tried, 6_100), 6_100)).toBe(true);
  });

  it('doubles the time when it is not back, up to five minutes', () => {
    let health = fails(healthy, 3, 0);
    const times: number[] = [];
    for (let i = 0; i < 9; i++) {
      const now = health.outUntil;
      health = failed(sent(health, now), now, false);
      times.push(health.outUntil - now);
    }
    expect(times.slice(0, 4)).toEqual([10_000, 20_000, 40_000, 80_000]);
    expect(times.at(-1)).toBe(300_000);
  });

  it('is not prolonged by requests that were on their way before', () => {
    const out = fails(healthy, 3, 1000);
    expect(fails(out, 5, 1500).outUntil).toBe(out.outUntil);
  });

  it('lets the next one try when the one that tried was called off, or is never heard of again', () => {
    const tried = sent(fails(healthy, 3, 1000), 6_000);
    expect(isAvailable(released(tried), 6_001)).toBe(true);
    expect(isAvailable(tried, 66_000)).toBe(true);
  });

  it('lets one request try as soon as somebody has been seen there again, and is as long as ever when that fails', () => {
    const out = fails(healthy, 3, 1000);
    const back = seenBack(out, 2_000);
    expect([isAvailable(out, 2_000), isAvailable(back, 2_000)]).toEqual([false, true]);
    const tried = sent(back, 2_100);
    expect(isAvailable(seenBack(tried, 2_150), 2_200)).toBe(false);
    expect(failed(tried, 2_200, false).outUntil).toBe(12_200);
    expect(isAvailable(succeeded(tried, 2_200), 2_200)).toBe(true);
    expect(seenBack(healthy, 2_000)).toEqual(healthy);
  });

  it('is forgotten after a good minute, not before', () => {
    const back = succeeded(eject(healthy, 0), 5_000);
    const soon = eject(succeeded(back, 6_000), 7_000);
    expect(soon.outUntil - 7_000).toBe(10_000);
    const late = eject(succeeded(back, 66_000), 67_000);
    expect(late.outUntil - 67_000).toBe(5_000);
  });
});

describe('a cold server', () => {
  it('has answered 503 at least three times over at least three seconds, and nothing else', () => {
    expect(isCold(fails(healthy, 5, 1000, true), 1500)).toBe(false);
    expect(isCold(fails(healthy, 3, 1000, true), 4000)).toBe(true);
    expect(isCold(fails(healthy, 2, 1000, true), 4000)).toBe(false);
    expect(isCold(failed(fails(healthy, 3, 1000, true), 2000, false), 4000)).toBe(false);
    expect(isCold(succeeded(fails(healthy, 3, 1000, true), 2000), 4000)).toBe(false);
  });
});

describe('slowOutlier', () => {
  it('names the one that is four times slower than the median of at least three', () => {
    expect(slowOutlier([1, 1.2, 5, 0.9])).toBe(2);
    expect(slowOutlier([1, 1.2, 3.9, 0.9])).toBe(null);
    expect(slowOutlier([1, 100])).toBe(null);
    expect(slowOutlier([1, Number.NaN, 100])).toBe(null);
    expect(slowOutlier([])).toBe(null);
  });
});
