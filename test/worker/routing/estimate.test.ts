import { describe, expect, it } from 'vitest';
import { decide } from '../../../worker/routing/decide.ts';
import { answerPrior, edgePriors, estimateEdge, estimateOrigin } from '../../../worker/routing/estimate.ts';
import type { EdgeFigures, OriginFigures, Seen } from '../../../worker/routing/figures.ts';
import { policyOf } from '../../../worker/routing/policies.ts';
import { edgePrices, unknownOriginPrice } from '../../../worker/routing/prices.ts';
import { limits, plain } from './estimates.ts';

const now = 1_800_000_000_000;
const seconds = 1_000;
const minutes = 60_000;

const edgeFrom = (seen: Seen<EdgeFigures>) =>
  estimateEdge({ model: 'small', refusal: null }, { price: edgePrices.own, contextTokens: null, calibration: null }, seen, now);
const originFrom = (seen: Seen<OriginFigures>, price: Parameters<typeof estimateOrigin>[1]['price'] = unknownOriginPrice) =>
  estimateOrigin({ model: 'big', failure: null }, { price, contextTokens: null, regions: [null], quality: 1 }, seen, now);
const ago = <T>(ms: number, values: T) => ({ asOf: now - ms, values });

describe('figures', () => {
  it('that are fresh count as they are', () => {
    const edge = edgeFrom(ago(0, { prefill: 300, decode: 90, running: 2, queued: 1, slots: 8, warm: true, loadMs: 700 }));
    expect(edge).toMatchObject({ running: 2, queued: 1, slots: 8, warmth: 1, measured: true });
    expect(edge.prefill).toBeCloseTo(300);
    expect(edge.decode).toBeCloseTo(90);
    expect(edge.loadMs).toBeCloseTo(700);
    const origin = originFrom(ago(0, { roundTripMs: 200, ttftBaseMs: 80, tpotMs: 9, waiting: 4, use: 0.7, cold: false, freePerSecond: 2 }));
    expect(origin).toMatchObject({ waiting: 4, use: 0.7, warmth: 1, freePerSecond: 2, measured: true });
    expect(origin.tpotMs).toBeCloseTo(9);
  });

  it('decay to what is assumed of anyone: load in seconds, rates in minutes', () => {
    const busy = { decode: 120, queued: 8, warm: true };
    expect(edgeFrom(ago(5 * seconds, busy)).queued).toBeCloseTo(4);
    expect(edgeFrom(ago(60 * seconds, busy)).queued).toBeLessThan(0.01);
    expect(edgeFrom(ago(60 * seconds, busy)).decode).toBeGreaterThan(100);
    const old = edgeFrom(ago(24 * 60 * minutes, busy));
    expect(old.decode).toBeCloseTo(edgePriors.decode);
    expect(old.warmth).toBeCloseTo(edgePriors.warmth);
  });

  it('of a cold pool are doubted sooner than those of a warm one', () => {
    expect(originFrom(ago(0, { cold: true })).warmth).toBe(0);
    expect(originFrom(ago(30 * seconds, { cold: true })).warmth).toBeCloseTo(0.49);
    expect(originFrom(ago(30 * seconds, { cold: false })).warmth).toBeGreaterThan(0.99);
    expect(originFrom(null).warmth).toBeCloseTo(0.98);
    expect(originFrom(null, { by: 'tokens', input: 1, output: 1 }).warmth).toBeGreaterThan(0.99);
  });

  it('of a batch tell the rate of one alone', () => {
    expect(edgeFrom(ago(0, { decode: 10, decodeBatch: 4 })).decode).toBeGreaterThan(20);
  });

  it('come from the first snapshot that has them, each at its own age', () => {
    const edge = edgeFrom([ago(0, { queued: 3 }), ago(10 * minutes, { decode: 120, queued: 50 })]);
    expect(edge.queued).toBe(3);
    expect(edge.decode).toBeCloseTo(Math.sqrt(120 * edgePriors.decode));
  });

  it('that say saturated mean a full pool with somebody waiting', () => {
    expect(originFrom(ago(0, { saturated: true }))).toMatchObject({ use: 1, waiting: 1 });
  });
});

const poison = [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e9, -1e9, '5', {}, [], 'NaN', true] as never[];
const edgeNames = ['prefill', 'decode', 'decodeBatch', 'running', 'queued', 'slots', 'serviceMs', 'warm', 'loadMs', 'roundTripMs'] as const;
const originNames = [
  'roundTripMs',
  'ttftBaseMs',
  'ttftMsPerToken',
  'tpotMs',
  'waiting',
  'running',
  'slots',
  'use',
  'serviceMs',
  'committedPerSecond',
  'freePerSecond',
  'ttftSpread',
  'totalSpread',
] as const;

describe('poisoned figures', () => {
  it.each(poison.map((value) => [value]))('%s is as good as nothing, wherever it stands', (value) => {
    const policy = policyOf('balanced', limits);
    const decideOn = (edge: Seen<EdgeFigures>, origin: Seen<OriginFigures>) =>
      decide(plain, { edge: edgeFrom(edge), origins: [originFrom(origin)], answer: answerPrior }, policy);
    const without = decideOn(null, null);
    for (const name of edgeNames) {
      if (name === 'warm') continue;
      expect(edgeFrom(ago(0, { [name]: value })), name).toEqual(edgeFrom(null));
      expect(decideOn(ago(0, { [name]: value }), null)).toEqual(without);
    }
    for (const name of originNames) {
      expect(originFrom(ago(0, { [name]: value })), name).toEqual(originFrom(null));
      expect(decideOn(null, ago(0, { [name]: value }))).toEqual(without);
    }
  });

  it('a snapshot from the future or from no time at all does not count: it would never grow old', () => {
    for (const asOf of [now + 60 * minutes, Number.NaN, Number.POSITIVE_INFINITY, undefined as never]) {
      expect(edgeFrom({ asOf, values: { decode: 10_000 } })).toEqual(edgeFrom(null));
    }
    expect(edgeFrom({ asOf: now, values: null as never })).toEqual(edgeFrom(null));
  });

  it('one that is wrong and believable pins no route: it fades', () => {
    const policy = policyOf('latency', limits);
    const routeAfter = (ms: number) =>
      decide(plain, { edge: edgeFrom(ago(ms, { queued: 9_999, warm: true })), origins: [originFrom(null)], answer: answerPrior }, policy)
        .route;
    expect(routeAfter(0)).toBe('origin');
    expect(routeAfter(2 * minutes)).toBe('edge');
  });
});
