import { describe, expect, it } from 'vitest';
import { decide, hasChoice } from '../../../worker/routing/decide.ts';
import type { EdgeEstimate, OriginEstimate } from '../../../worker/routing/estimates.ts';
import { policies, policyOf } from '../../../worker/routing/policies.ts';
import { edgePrices, unknownOriginPrice } from '../../../worker/routing/prices.ts';
import { reasonTexts } from '../../../worker/routing/reasons.ts';
import { isFree } from '../../../worker/routing/rules.ts';
import type { Decision, Features, Policy, PolicyName } from '../../../worker/routing/types.ts';
import { edgeEstimate, estimates, limits, originEstimate, plain } from './estimates.ts';

/** A few hundred situations, the same ones every time: figures by factors around what is usual. */
function situations(): { features: Features; edge: EdgeEstimate; origin: OriginEstimate; policy: Policy }[] {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const around = (value: number, factor: number) => value * factor ** (2 * random() - 1);
  const names = Object.keys(policies) as PolicyName[];
  const places = Object.values(edgePrices);
  return Array.from({ length: 400 }, () => ({
    features: {
      ...plain,
      promptTokens: Math.round(around(40, 6)),
      maxTokens: random() < 0.3 ? null : Math.round(around(30, 4)),
      stream: random() < 0.5,
      previousRoute: random() < 0.3 ? null : random() < 0.5 ? ('edge' as const) : ('origin' as const),
    },
    edge: edgeEstimate({
      prefill: around(100, 10),
      decode: around(40, 8),
      running: Math.floor(5 * random()),
      queued: Math.floor(3 * random()),
      warmth: random(),
      price: places[Math.floor(places.length * random())]!,
    }),
    origin: originEstimate({
      roundTripMs: around(80, 5),
      tpotMs: around(20, 3),
      ttftBaseMs: around(200, 10),
      waiting: Math.floor(10 * random() ** 2),
      use: random(),
      warmth: random() ** 0.1,
      freePerSecond: around(1, 100),
      committedPerSecond: random() < 0.5 ? 0 : around(0.01, 10),
      price: random() < 0.5 ? unknownOriginPrice : { by: 'tokens', input: around(0.1, 5), output: around(0.3, 5) },
    }),
    policy: policyOf(names[Math.floor(names.length * random())]!, limits, { maxTtftMs: random() < 0.2 ? around(1000, 4) : null }),
  }));
}

const all = situations();
type Situation = (typeof all)[number];
const decideIn = ({ features, edge, origin, policy }: Situation, more: Partial<Situation> = {}): Decision =>
  decide(more.features ?? features, estimates({ edge: more.edge ?? edge, origins: [more.origin ?? origin] }), more.policy ?? policy);
const count = (route: string, more: (situation: Situation) => Partial<Situation> = () => ({})) =>
  all.filter((situation) => decideIn(situation, more(situation)).route === route).length;

describe('in any situation', () => {
  it('both routes are taken, so that the rest of this says something', () => {
    expect(count('edge')).toBeGreaterThan(80);
    expect(count('origin')).toBeGreaterThan(80);
  });

  it.each<[string, (situation: Situation) => Partial<Situation>]>([
    ['a longer queue', ({ edge }) => ({ edge: { ...edge, queued: edge.queued + 5 } })],
    ['slower decoding', ({ edge }) => ({ edge: { ...edge, decode: edge.decode / 3 } })],
    ['slower prefill', ({ edge }) => ({ edge: { ...edge, prefill: edge.prefill / 3 } })],
    ['a colder model', ({ edge }) => ({ edge: { ...edge, warmth: edge.warmth / 2 } })],
    ['a wider spread', ({ edge }) => ({ edge: { ...edge, totalSpread: { p50: 1, p95: 5 }, ttftSpread: { p50: 1, p95: 5 } } })],
    ['a dearer edge', ({ edge }) => ({ edge: { ...edge, price: { by: 'cpu', usdPerCpuMs: 1e-6, usdPerRequest: 1e-5 } } })],
    ['a harder prompt', ({ features }) => ({ features: { ...features, difficulty: { weakFails: 0.5, strongHelps: 0.5 } } })],
  ])('%s never makes the edge more attractive', (_, worse) => {
    let moved = 0;
    for (const situation of all) {
      const [before, after] = [decideIn(situation), decideIn(situation, worse(situation))];
      if (before.route === 'origin') expect(after.route).toBe('origin');
      if (before.route !== after.route) moved++;
    }
    expect(moved).toBeGreaterThan(0);
  });

  it.each<[string, (situation: Situation) => Partial<Situation>]>([
    ['a longer queue', ({ origin }) => ({ origin: { ...origin, waiting: origin.waiting + 200 } })],
    ['a longer way', ({ origin }) => ({ origin: { ...origin, roundTripMs: origin.roundTripMs + 2000 } })],
    ['slower answers', ({ origin }) => ({ origin: { ...origin, tpotMs: 5 * origin.tpotMs } })],
    ['a colder pool', ({ origin }) => ({ origin: { ...origin, warmth: origin.warmth / 2 } })],
    ['a fuller pool', ({ origin }) => ({ origin: { ...origin, use: 1 } })],
    ['a higher price', ({ origin: { price, ...origin } }) => ({ origin: { ...origin, price: dearer(price) } })],
    [
      'fewer others that keep the GPU',
      ({ origin }) => ({ origin: { ...origin, committedPerSecond: 0, freePerSecond: origin.freePerSecond } }),
    ],
  ])('%s never makes the origin more attractive', (_, worse) => {
    let moved = 0;
    for (const situation of all) {
      const [before, after] = [decideIn(situation), decideIn(situation, worse(situation))];
      if (before.route === 'edge') expect(after.route).toBe('edge');
      if (before.route !== after.route) moved++;
    }
    expect(moved).toBeGreaterThan(0);
  });

  it('a route that refused or failed is never chosen, and both together are nowhere', () => {
    const refusal = { code: 'queue_full' as const, message: 'Full.', promptTokens: null, retryAfter: 1 };
    const failure = { status: 503, code: 'origin_unavailable', message: 'Down.', retryAfter: 1 };
    for (const situation of all) {
      const edge = { ...situation.edge, refusal };
      const origin = { ...situation.origin, failure };
      expect(decideIn(situation, { edge }).route).not.toBe('edge');
      expect(decideIn(situation, { origin }).route).not.toBe('origin');
      expect(decideIn(situation, { edge, origin })).toMatchObject({
        route: 'none',
        status: expect.any(Number),
        expected: { edge: null, origin: null },
      });
    }
  });

  it('every decision is explained in words from the list, and by finite figures in order', () => {
    for (const situation of all) {
      const { reasons, expected, route } = decideIn(situation);
      expect(reasons.length).toBeGreaterThan(0);
      for (const reason of reasons) expect(reasonTexts).toHaveProperty(reason);
      if (route !== 'none') expect(expected[route]).not.toBeNull();
      for (const one of [expected.edge, expected.origin]) {
        if (!one) continue;
        const { ttftMs, totalMs, usd, quality, score } = one;
        expect(ttftMs.p50).toBeLessThanOrEqual(ttftMs.p95);
        expect(totalMs.p50).toBeLessThanOrEqual(totalMs.p95);
        expect(ttftMs.p50).toBeLessThanOrEqual(totalMs.p50);
        for (const value of [ttftMs.p50, totalMs.p95, totalMs.mean, usd, quality, score]) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThan(1e9);
        }
      }
    }
  });

  it('the same values give the same decision', () => {
    for (const situation of all.slice(0, 50)) expect(decideIn(situation)).toEqual(decideIn(structuredClone(situation)));
  });

  it('there is a runner-up exactly where there was a choice', () => {
    for (const situation of all) {
      const { features, edge, origin, policy } = situation;
      const choice = hasChoice(features, estimates({ edge, origins: [origin] }), policy);
      const { runnerUp, route } = decideIn(situation);
      expect(runnerUp !== null).toBe(choice);
      if (runnerUp) expect(runnerUp.route).not.toBe(route);
    }
  });
});

it('a request counts as one that either route may answer only where its prompt is short enough, as far as can be told', () => {
  const free = (features: Partial<Features>) => {
    const known = { ...plain, ...features };
    return isFree(known, decide(known, estimates(), policyOf('balanced', limits)), limits);
  };
  expect(free({})).toBe(true);
  // Not so long that the edge is not asked, and too long for it.
  expect(free({ promptBytes: 2_000 })).toBe(false);
  expect(free({ promptBytes: 2_000, estimatedTokens: 200 })).toBe(true);
  expect(free({ thinking: true })).toBe(false);
});

function dearer(price: OriginEstimate['price']): OriginEstimate['price'] {
  if (price.by === 'tokens') return { by: 'tokens', input: 20 * price.input, output: 20 * price.output };
  return { ...price, usdPerHour: 20 * price.usdPerHour };
}
