import { describe, expect, it } from 'vitest';
import { estimateCost, type Load, type Workload } from '../../../scripts/deploy/cost.ts';

const work: Workload = { placement: 'isolate', objects: 1, replicas: 1, sessions: 4, prefill: 40, decode: 10, packBytes: 100e6, reads: 30 };
const load: Load = { requestsPerMonth: 10_000, promptTokens: 40, answerTokens: 10 };
const line = (l: Load, w: Workload, what: string) => estimateCost(l, w).lines.find((found) => found.what.startsWith(what))!.usd;

describe('estimateCost', () => {
  it('is what the price list says of few requests, which do not overlap', () => {
    // 10,000 requests of two seconds: 20,000 s of 0.128 GB at $12.50 per million, and 10,000 requests at $0.15 per million.
    expect(line(load, work, 'engine')).toBeCloseTo(20_000 * 0.128 * 12.5e-6 + 10_000 * 0.15e-6, 3);
    expect(estimateCost(load, work).requestSeconds).toBe(2);
  });

  it('pays no more than the whole month of each object, however many requests share it', () => {
    const month = 30 * 86_400 * 0.128 * 12.5e-6;
    const busy = { ...load, requestsPerMonth: 10e6 };
    expect(line(busy, work, 'engine')).toBeCloseTo(month + 10e6 * 0.15e-6, 1);
    expect(line(busy, { ...work, placement: 'pipeline', objects: 8 }, 'engine')).toBeCloseTo(8 * (month + 10e6 * 0.15e-6), 1);
  });

  it('pays for stages while their connection is kept', () => {
    const seldom = { ...load, requestsPerMonth: 1000 };
    expect(line(seldom, { ...work, placement: 'pipeline', objects: 8 }, 'engine')).toBeGreaterThan(40 * line(seldom, work, 'engine'));
  });

  it('loads the model for nearly every request that comes alone, and for hardly any of many', () => {
    expect(line({ ...load, requestsPerMonth: 100 }, work, 'R2') - 0.0015).toBeCloseTo(100 * 30 * 0.36e-6, 5);
    expect(line({ ...load, requestsPerMonth: 1e6 }, work, 'R2')).toBeCloseTo(0.0015, 4);
  });

  it('bills containers by vCPU and memory, and says how many replicas a load keeps busy', () => {
    expect(line(load, { ...work, placement: 'container' }, 'container')).toBeGreaterThan(10_000 * 2 * 0.5 * 20e-6);
    expect(estimateCost({ ...load, requestsPerMonth: 30 * 86_400 * 4 }, work).neededReplicas).toBeCloseTo(2, 6);
  });

  it('adds up', () => {
    const { lines, totalUsd } = estimateCost(load, work);
    expect(totalUsd).toBeCloseTo(
      lines.reduce((sum, { usd }) => sum + usd, 0),
      9,
    );
  });
});
