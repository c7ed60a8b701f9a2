import { describe, expect, it } from 'vitest';
import { type CostRates, costOfThousand, type PlacedModel } from '../../../bench/sim/pipeline-cost.ts';

const size = { promptTokens: 100, answerTokens: 50 };
const model: PlacedModel = { objects: 8, hops: 6, reads: 60 };
const rates: CostRates = { prefill: 100, alone: 25, together: 50, hopMs: 0, loadMs: 3000 };
const GB_SECOND = 12.5e-6;

describe('costOfThousand', () => {
  it('bills every object for the time that a request alone takes, by hand', () => {
    // 1 s of prompt and 2 s of answer; 20 such requests make 1,000 tokens: 60 s of 8 objects of 0.128 GB.
    const cost = costOfThousand(size, model, rates, { kind: 'steady', atOnce: 1 });
    expect(cost.seconds).toBeCloseTo(60, 9);
    expect(cost.gbSeconds).toBeCloseTo(61.44, 9);
    expect(cost.requests).toBe(20);
    expect(cost.reads).toBe(0);
    expect(cost.pipeline).toBeCloseTo(61.44 * GB_SECOND + 20 * 0.15e-6, 12);
    // 60 s of CPU at $0.02 per million milliseconds, and 20 requests at $0.30 per million.
    expect(cost.worker).toBeCloseTo(60_000 * 0.02e-6 + 20 * 0.3e-6, 12);
    // Half a processor takes 120 s, with 4 GiB, and an object in front.
    const container = 120 * (0.5 * 20e-6 + 4 * 2.5e-6 + 0.128 * GB_SECOND) + 20 * (0.3e-6 + 0.15e-6);
    expect(cost.container).toBeCloseTo(container, 12);
  });

  it('shares the time among requests that run at once, and only the answers go faster together', () => {
    // 1 s of prompt, and 50 tokens of the 50 in a second that four make together.
    const cost = costOfThousand(size, model, rates, { kind: 'steady', atOnce: 4 });
    expect(cost.seconds).toBeCloseTo(40, 9);
    expect(cost.gbSeconds).toBeCloseTo(40.96, 9);
    expect(cost.worker).toBe(costOfThousand(size, model, rates, { kind: 'steady', atOnce: 1 }).worker);
  });

  it('bills the time for which stages are held after a request that comes alone, new connections, and a cold start', () => {
    const warm = costOfThousand(size, model, rates, { kind: 'seldom', everySeconds: 60, cold: false });
    expect(warm.gbSeconds).toBeCloseTo((3 + 10) * 20 * 8 * 0.128, 9);
    expect(warm.requests).toBe(20 * 8);
    expect(warm.reads).toBe(0);
    const cold = costOfThousand(size, model, rates, { kind: 'seldom', everySeconds: 3600, cold: true });
    expect(cold.gbSeconds).toBeCloseTo((3 + 3 + 10) * 20 * 8 * 0.128, 9);
    expect(cold.reads).toBe(20 * 60);
    expect(cold.pipeline).toBeCloseTo(cold.gbSeconds * GB_SECOND + 160 * 0.15e-6 + 1200 * 0.36e-6, 12);
    expect(cold.container - warm.container).toBeGreaterThan(0);
  });

  it('adds the time of the calls between stages to every turn, once however many share it', () => {
    const slow = { ...rates, hopMs: 10 };
    const added = (atOnce: number) => {
      const traffic = { kind: 'steady', atOnce } as const;
      return costOfThousand(size, model, slow, traffic).seconds - costOfThousand(size, model, rates, traffic).seconds;
    };
    // 60 ms for the prompt and for each of 50 turns, 20 times.
    expect(added(1)).toBeCloseTo(0.06 * 51 * 20, 9);
    expect(added(4)).toBeCloseTo(0.06 * (1 + 50 / 4) * 20, 9);
  });

  it('charges a GPU of its own for all the time it is kept, and a full one for a place in it', () => {
    const steady = costOfThousand(size, model, rates, { kind: 'steady', atOnce: 1 });
    // A dollar an hour, for the minute in which the pipeline makes 1,000 tokens.
    expect(steady.gpuAlone).toBeCloseTo(1 / 60, 4);
    expect(steady.gpuShared).toBeLessThan(steady.gpuAlone / 20);
    const seldom = costOfThousand(size, model, rates, { kind: 'seldom', everySeconds: 3600, cold: true });
    // Each of 20 requests starts it, and keeps it for minutes.
    expect(seldom.gpuAlone).toBeGreaterThan(20 * (300 / 3600) * 0.9);
  });
});
