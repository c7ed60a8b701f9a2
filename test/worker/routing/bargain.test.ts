import { describe, expect, it } from 'vitest';
import { decide } from '../../../worker/routing/decide.ts';
import type { OriginEstimate } from '../../../worker/routing/estimates.ts';
import { policyOf } from '../../../worker/routing/policies.ts';
import { unknownOriginPrice } from '../../../worker/routing/prices.ts';
import type { Calibration, Features, Gate, Policy, PolicyName } from '../../../worker/routing/types.ts';
import { edgeEstimate, estimates, limits, originEstimate, plain } from './estimates.ts';

const gate: Gate = { tokens: 8, statistic: 'quantile', quantile: 0.1, threshold: -2, declines: [] };
const calibration = (intercept: number, gate: Gate | null): Calibration => ({
  version: 1,
  model: 'small',
  calibrated: true,
  weights: { intercept },
  curve: [],
  gate,
});
const warm = { warmth: 1, prefill: 84, decode: 30 };
const sure = edgeEstimate({ ...warm, calibration: calibration(4, gate) });
const unsure = edgeEstimate({ ...warm, calibration: calibration(-1, gate) });
const ungated = edgeEstimate({ ...warm, calibration: calibration(-1, null) });

const { assumed: _, ...gpu } = unknownOriginPrice;
/** A GPU at that price that nobody but such requests keeps up, 100 an hour: a cent each. */
const sleepy = originEstimate({ price: gpu, warmth: 1 });
/** The same with enough others that keep it up. */
const shared = originEstimate({ price: gpu, warmth: 1, committedPerSecond: 0.1 });

const decided = (
  edge: typeof sure,
  origin: OriginEstimate,
  { name = 'balanced', features = {}, policy = {} }: { name?: PolicyName; features?: Partial<Features>; policy?: Partial<Policy> } = {},
) => {
  const decision = decide({ ...plain, ...features }, estimates({ edge, origins: [origin] }), { ...policyOf(name, limits), ...policy });
  if (decision.route === 'none') throw new Error('both can');
  return { route: decision.route, reasons: decision.reasons, gate: decision.route === 'edge' ? decision.gate : null };
};

describe('the least quality', () => {
  it('gives way where a GPU would be started or kept for this request, and says so first', () => {
    expect(decided(ungated, sleepy)).toEqual({ route: 'edge', reasons: ['floor_yields', 'cheaper', 'gpu_idle'], gate: null });
    expect(decided(ungated, shared)).toEqual({ route: 'origin', reasons: ['low_confidence'], gate: null });
  });

  it('gives way to a wait that is worth more than a good answer', () => {
    const waiting = (serviceMs: number) => originEstimate({ price: { ...gpu, keepSeconds: null }, warmth: 1, waiting: 32, serviceMs });
    expect(decided(ungated, waiting(1_000))).toMatchObject({ route: 'origin', reasons: ['low_confidence'] });
    expect(decided(ungated, waiting(15_000))).toMatchObject({ route: 'edge', reasons: ['floor_yields', 'faster', 'queue_long'] });
  });

  it('also where the answer would be cut off, which is no better than a bad one', () => {
    const reasons = ['floor_yields', 'cheaper', 'gpu_idle', 'gate_yields', 'edge_max_tokens_cap'];
    expect(decided(sure, sleepy, { features: { maxTokens: null } })).toMatchObject({ route: 'edge', reasons });
    expect(decided(sure, shared, { features: { maxTokens: null } })).toMatchObject({ route: 'origin', reasons: ['no_max_tokens'] });
  });

  it('does not give way where somebody has set it', () => {
    expect(decided(ungated, sleepy, { policy: { yields: false } })).toMatchObject({ route: 'origin', reasons: ['low_confidence'] });
  });

  it('nor for a prompt that is probably too long for the edge, which would refuse it', () => {
    expect(decided(ungated, sleepy, { features: { estimatedTokens: 257 } }).reasons).toEqual(['low_confidence']);
    expect(decided(ungated, sleepy, { features: { estimatedTokens: 256 } }).route).toBe('edge');
  });

  it('nor to a price that is only assumed, nor to one per token', () => {
    expect(decided(ungated, { ...sleepy, price: unknownOriginPrice }).reasons).toEqual(['low_confidence']);
    expect(decided(ungated, { ...sleepy, price: unknownOriginPrice, warmth: 0 }).reasons).toEqual(['low_confidence']);
    expect(decided(ungated, { ...sleepy, price: { by: 'tokens', input: 50, output: 500 } }).reasons).toEqual(['low_confidence']);
  });

  it('gives way under edge-first and cost too, and leaves a target for the first token its say', () => {
    expect(decided(ungated, sleepy, { name: 'edge-first' }).reasons).toEqual(['floor_yields', 'edge_first']);
    expect(decided(ungated, sleepy, { name: 'cost' }).reasons[0]).toBe('floor_yields');
    const slow = { ...ungated, prefill: 1 };
    expect(decided(slow, sleepy, { policy: { maxTtftMs: 1_500 } })).toMatchObject({ route: 'origin' });
  });

  it('holds for an answer that is good enough, and is not named there', () => {
    expect(decided(sure, sleepy).reasons).not.toContain('floor_yields');
  });
});

describe('the confidence gate', () => {
  it('is left out where asking the origin would cost more than a bad answer', () => {
    expect(decided(sure, sleepy)).toEqual({ route: 'edge', reasons: ['cheaper', 'gpu_idle', 'gate_yields'], gate: null });
    expect(decided(sure, shared, { name: 'edge-first' })).toEqual({ route: 'edge', reasons: ['edge_first'], gate });
    expect(decided(sure, sleepy, { policy: { yields: false } })).toMatchObject({ route: 'edge', gate });
  });

  it('is left out wherever the least quality gives way', () => {
    const all = [0.001, 0.003, 0.01, 0.03].flatMap((freePerSecond) =>
      [0, 4_000, 8_000, 16_000].map((serviceMs) => ({ ...sleepy, freePerSecond, waiting: 32, serviceMs })),
    );
    const outcomes = all.map((origin) => decided(unsure, origin));
    for (const { reasons, gate } of outcomes)
      if (reasons[0] === 'floor_yields') expect([gate, reasons]).toEqual([null, expect.arrayContaining(['gate_yields'])]);
    expect(outcomes.some(({ reasons }) => reasons[0] === 'floor_yields')).toBe(true);
  });

  it('is kept longer for a stream, whose rest is still to come when it asks', () => {
    // The origin costs little more than a bad answer; what a stream of 128 tokens still takes after the first makes that up.
    const even = (queueMs: number) =>
      originEstimate({ price: { ...gpu, keepSeconds: null }, warmth: 1, waiting: 1, slots: 32, serviceMs: 32 * queueMs });
    const gates = (stream: boolean) =>
      Array.from({ length: 20 }, (_, i) => {
        const features = { stream, maxTokens: 128 };
        return decided(sure, even(500 * i), { name: 'edge-first', features }).gate !== null;
      });
    const kept = (stream: boolean) => gates(stream).filter(Boolean).length;
    expect(kept(true)).toBeGreaterThan(kept(false));
    expect(kept(false)).toBeGreaterThan(0);
    expect(kept(true)).toBeLessThan(20);
  });
});

describe('where it is a close thing', () => {
  const even = (serviceMs: number, previousRoute: Features['previousRoute']) =>
    decided(ungated, originEstimate({ price: { ...gpu, keepSeconds: null }, warmth: 1, waiting: 32, serviceMs }), {
      features: { previousRoute },
    }).route;
  const first = (previousRoute: Features['previousRoute']) => {
    for (let ms = 0; ms < 60_000; ms += 50) if (even(ms, previousRoute) === 'edge') return ms;
    return Number.POSITIVE_INFINITY;
  };

  it('the route taken before is kept: it takes more to begin with bad answers than to go on', () => {
    expect(first('edge')).toBeLessThan(0.95 * first('origin'));
    expect(first(null)).toBe(first('origin'));
    expect(first('origin')).toBeLessThan(60_000);
  });
});
