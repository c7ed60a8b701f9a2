import { describe, expect, it } from 'vitest';
import { decide } from '../../../worker/routing/decide.ts';
import type { Estimates } from '../../../worker/routing/estimates.ts';
import { isPolicyName, narrower, policyOf } from '../../../worker/routing/policies.ts';
import type { Calibration, Decision, Features, Gate, PolicyName, Residency, Route } from '../../../worker/routing/types.ts';
import { edgeEstimate, estimates, limits, originEstimate, plain } from './estimates.ts';

const short = (decision: Decision) =>
  decision.route === 'none' ? `${decision.status} ${decision.code}` : `${decision.route}: ${decision.reasons.join(', ')}`;

/** A service by tokens: it is there, near and fast; dearer than a Durable Object. */
const service = originEstimate({ price: { by: 'tokens', input: 0.5, output: 1.5 }, warmth: 1, roundTripMs: 20, startSeconds: 0 });
/** An edge that needs two seconds for the small request. */
const slowEdge = edgeEstimate({ warmth: 1, prefill: 40, decode: 12 });
const rivals = estimates({ edge: slowEdge, origins: [service] });

/** Data stays with the edge model; goes to origin nodes of that region only. */
const edgeOnly: Residency = { edge: true, originRegions: [] };
const originRegion = (region: string): Residency => ({ edge: false, originRegions: [region] });

const gate: Gate = { tokens: 12, statistic: 'quantile', quantile: 0.1, threshold: -2, declines: [] };

/** An edge model whose answers are all as good as that: log odds. */
function calibration(intercept: number, gate: Gate | null = null): Calibration {
  return { version: 1, model: 'small', calibrated: true, weights: { intercept }, curve: [], gate };
}

const decideBy = (name: PolicyName, features: Partial<Features> = {}, known: Estimates = rivals, request = {}) =>
  decide({ ...plain, ...features }, known, policyOf(name, limits, request));

describe('policies', () => {
  it.each<[PolicyName, string]>([
    ['balanced', 'origin: faster'],
    ['latency', 'origin: faster'],
    ['cost', 'edge: cheaper'],
    ['edge-only', 'edge: edge_only'],
    ['origin-only', 'origin: origin_only'],
    ['edge-first', 'edge: edge_first'],
  ])('%s, with a slow and cheap edge', (name, expected) => {
    expect(short(decideBy(name))).toContain(expected);
  });

  it('all send what the edge cannot do to the origin, but for edge-only', () => {
    for (const name of ['balanced', 'latency', 'cost', 'origin-only', 'edge-first'] as const) {
      expect(decideBy(name, { maxTokens: 500 }).route).toBe('origin');
    }
    const decision = decideBy('edge-only', { maxTokens: 500 });
    expect(decision).toMatchObject({ status: 403, code: 'route_not_allowed', reasons: ['route_not_allowed', 'edge_only', 'max_tokens'] });
    expect(decision).toMatchObject({ message: expect.stringContaining('at most 128') });
  });

  it('are not lifted by a model asked for by name', () => {
    expect(short(decideBy('edge-only', { model: 'big' }))).toBe('403 route_not_allowed');
    expect(short(decideBy('origin-only', { model: 'small' }))).toBe('403 route_not_allowed');
    expect(short(decideBy('origin-only', { model: 'big' }))).toBe('origin: origin_model_requested');
  });

  it('have names that a request can be checked against', () => {
    expect(['balanced', 'edge-first', 'toString', ''].map(isPolicyName)).toEqual([true, true, false, false]);
  });

  it('only latency starts both, and only where the other may well be first', () => {
    const even = estimates({ edge: edgeEstimate({ warmth: 1, prefill: 200, decode: 60 }), origins: [service] });
    expect(decideBy('latency', {}, even)).toMatchObject({ race: true });
    expect(decideBy('balanced', {}, even)).toMatchObject({ race: false });
    expect(decideBy('latency', {}, estimates({ edge: edgeEstimate({ prefill: 0.5 }), origins: [service] }))).toMatchObject({ race: false });
    expect(decideBy('latency', {}, estimates({ edge: slowEdge, origins: [] }))).toMatchObject({ race: false });
  });
});

describe('capability', () => {
  const cheapEdge = estimates();
  const weakEdge = estimates({ edge: edgeEstimate({ calibration: calibration(-1) }) });

  it('below the threshold goes to the origin, whatever it costs', () => {
    expect(short(decideBy('balanced', {}, cheapEdge))).toContain('edge: cheaper');
    expect(short(decideBy('balanced', {}, weakEdge))).toBe('origin: low_confidence');
    expect(short(decideBy('edge-first', {}, weakEdge))).toBe('origin: low_confidence');
    expect(decideBy('edge-only', {}, weakEdge).route).toBe('edge');
  });

  it('does not count where there is no origin to go to', () => {
    expect(short(decideBy('balanced', {}, { ...weakEdge, origins: [] }))).toBe('edge: no_origin');
  });

  it('without a limit counts the risk that the edge cuts the answer off', () => {
    const shortAnswers = estimates({ answer: { p50: 20, p95: 60 } });
    expect(short(decideBy('balanced', { maxTokens: null }, cheapEdge))).toBe('origin: no_max_tokens');
    expect(short(decideBy('balanced', { maxTokens: null }, shortAnswers))).toBe('edge: cheaper, gpu_idle, edge_max_tokens_cap');
  });
});

describe('a target for the first token', () => {
  const late = originEstimate({
    price: { by: 'tokens', input: 0.01, output: 0.01 },
    warmth: 1,
    ttftBaseMs: 3000,
    tpotMs: 1,
    startSeconds: 0,
  });
  const quick = edgeEstimate({ warmth: 1, prefill: 400, decode: 5 });
  const known = estimates({ edge: quick, origins: [late] });

  it('decides where only one route keeps it', () => {
    expect(decideBy('balanced', { maxTokens: 100 }, known).route).toBe('origin');
    expect(short(decideBy('balanced', { maxTokens: 100 }, known, { maxTtftMs: 1500 }))).toContain('edge: latency_target');
  });

  it('is kept as well as can be where none does, and decides nothing where both do', () => {
    expect(short(decideBy('balanced', { maxTokens: 100 }, known, { maxTtftMs: 1 }))).toContain('edge: latency_target');
    expect(decideBy('balanced', { maxTokens: 100 }, known, { maxTtftMs: 60_000 }).reasons).not.toContain('latency_target');
  });

  it('comes before edge-first', () => {
    const far = estimates({ edge: edgeEstimate({ prefill: 1 }), origins: [service] });
    expect(short(decideBy('edge-first', {}, far, { maxTtftMs: 2000 }))).toContain('origin: latency_target');
  });
});

describe('where data may go', () => {
  const pools = [originEstimate({ model: 'us', regions: ['us'] }), originEstimate({ model: 'eu', regions: ['eu', null] })];
  const inEurope = { residency: originRegion('eu') };

  it('a named region: that pool, its nodes there only, and never the edge', () => {
    const decision = decideBy('balanced', {}, estimates({ origins: pools }), inEurope);
    expect(decision).toMatchObject({ route: 'origin', model: 'eu', regions: ['eu'], reasons: ['residency'], runnerUp: null });
    expect(short(decideBy('balanced', { model: 'us' }, estimates({ origins: pools }), inEurope))).toBe('403 route_not_allowed');
    expect(short(decideBy('balanced', { model: 'small' }, estimates({ origins: pools }), inEurope))).toBe('403 route_not_allowed');
  });

  it('a region where nobody is: nowhere, rather than elsewhere', () => {
    const decision = decideBy('balanced', {}, estimates({ origins: [pools[0]!] }), inEurope);
    expect(decision).toMatchObject({ route: 'none', status: 403, code: 'route_not_allowed' });
  });

  it('a failure in the region is told as such', () => {
    const failure = { status: 502, code: 'origin_unavailable', message: 'Down.', retryAfter: null };
    const known = estimates({ origins: [pools[0]!, { ...pools[1]!, failure }] });
    expect(short(decideBy('balanced', {}, known, inEurope))).toBe('502 origin_unavailable');
  });

  it('edge only: the origin is not even a runner-up', () => {
    expect(decideBy('balanced', {}, rivals, { residency: edgeOnly })).toMatchObject({
      route: 'edge',
      reasons: ['residency'],
      runnerUp: null,
      expected: { origin: null },
    });
    expect(short(decideBy('balanced', { thinking: true }, rivals, { residency: edgeOnly }))).toBe('403 route_not_allowed');
  });

  it('an edge that is only busy is worth coming back to', () => {
    const refusal = { code: 'queue_full' as const, message: 'Full.', promptTokens: null, retryAfter: 3 };
    const known = estimates({ edge: edgeEstimate({ refusal }) });
    expect(decideBy('balanced', {}, known, { residency: edgeOnly })).toMatchObject({ status: 503, code: 'no_route', retryAfter: 3 });
  });

  it('a request narrows what its key allows, and cannot widen it', () => {
    expect(narrower(edgeOnly, originRegion('eu'))).toEqual({ edge: false, originRegions: [] });
    expect(narrower({ edge: true, originRegions: ['eu', 'us'] }, originRegion('eu'))).toEqual({ edge: false, originRegions: ['eu'] });
    expect(narrower({ edge: true, originRegions: null }, originRegion('eu'))).toEqual({ edge: false, originRegions: ['eu'] });
  });
});

describe('a conversation that was escalated', () => {
  const escalated = { escalatedEarlier: true };

  it('stays up, and fails rather than come down unnoticed', () => {
    expect(short(decideBy('cost', escalated))).toBe('origin: escalated_earlier');
    const failure = { status: 503, code: 'origin_unavailable', message: 'Down.', retryAfter: 2 };
    const down = estimates({ edge: slowEdge, origins: [{ ...service, failure }] });
    expect(decideBy('cost', escalated, down)).toMatchObject({ status: 503, reasons: ['origin_unavailable', 'escalated_earlier'] });
  });

  it('is answered by the edge where there is nothing above, or where it is asked for by name', () => {
    expect(short(decideBy('cost', escalated, estimates({ origins: [] })))).toBe('edge: no_origin');
    expect(short(decideBy('cost', { ...escalated, model: 'small' }))).toBe('edge: edge_model_requested');
  });
});

describe('routes that are nearly equal', () => {
  it('do not flap: small changes to and fro leave a key where it is', () => {
    let previousRoute: Route | null = null;
    const taken = new Set<string>();
    // The origin's time swings by 5 % around where the routes are equal.
    const edge = edgeEstimate({ warmth: 1, prefill: 100, decode: 30, price: { by: 'hour', usdPerHour: 0 } });
    const equal = (roundTripMs: number) =>
      estimates({ edge, origins: [{ ...service, quality: 0.9, price: { by: 'tokens', input: 0, output: 0 }, roundTripMs }] });
    const score = (roundTripMs: number, route: Route) => decideBy('balanced', {}, equal(roundTripMs)).expected[route]!.score;
    let even = 1;
    while (score(even, 'origin') < score(even, 'edge')) even += 1;
    for (let i = 0; i < 20; i++) {
      const decision = decideBy('balanced', { previousRoute }, equal(even * (1 + 0.05 * (i % 2 === 0 ? 1 : -1))));
      if (decision.route === 'none') throw new Error('one of them can');
      taken.add(decision.route);
      previousRoute = decision.route;
    }
    expect(taken.size).toBe(1);
    expect(decideBy('balanced', { previousRoute: 'origin' }, equal(even * 1.05)).reasons).toEqual(['hysteresis']);
    expect(decideBy('balanced', { previousRoute: 'origin' }, equal(even * 5)).route).toBe('edge');
  });
});

describe('the reasons for the better route', () => {
  const warm = edgeEstimate({ warmth: 1, prefill: 300, decode: 100 });
  const shortest = { maxTokens: 4 };
  it.each<[string, string, Partial<Estimates>]>([
    ['a cold edge', 'origin: faster, edge_cold', { edge: edgeEstimate({ ...warm, warmth: 0, loadMs: 20_000 }) }],
    ['a queue at the edge', 'origin: faster, queue_long', { edge: edgeEstimate({ ...warm, running: 4, queued: 8, serviceMs: 5_000 }) }],
    ['a far origin', 'edge: faster, origin_far', { edge: warm, origins: [{ ...service, roundTripMs: 3_000 }] }],
    [
      'a queue at the origin',
      'edge: faster, spares_others, queue_long',
      { edge: warm, origins: [{ ...service, waiting: 400, serviceMs: 5_000 }] },
    ],
    [
      'an origin nobody has heard of',
      'edge: faster, origin_maybe_cold',
      { edge: warm, origins: [{ ...service, warmth: 0.9, startSeconds: 120 }] },
    ],
    ['a GPU for these alone', 'edge: cheaper, gpu_idle', { edge: warm, origins: [originEstimate({ warmth: 1 })] }],
    ['a worse answer', 'origin: better_answer', { edge: edgeEstimate({ ...warm, calibration: calibration(0.8) }) }],
  ])('%s: %s', (_, expected, known) => {
    expect(short(decideBy('balanced', shortest, { ...rivals, ...known }))).toContain(expected);
  });
});

describe('several pools', () => {
  const price = { by: 'tokens', input: 0.1, output: 0.3 } as const;
  const [first, second] = [originEstimate({ model: 'first', price, warmth: 1 }), originEstimate({ model: 'second', price, warmth: 1 })];
  const decideAmong = (...origins: Estimates['origins']) => decideBy('balanced', { maxTokens: 500 }, estimates({ origins }));

  it('the preferred one, unless another is clearly better, down included', () => {
    expect(decideAmong(first, second)).toMatchObject({ model: 'first' });
    expect(decideAmong({ ...first, tpotMs: 21 }, second)).toMatchObject({ model: 'first' });
    expect(decideAmong({ ...first, tpotMs: 200 }, second)).toMatchObject({ model: 'second' });
    const failure = { status: 503, code: 'origin_unavailable', message: 'Down.', retryAfter: null };
    expect(decideAmong({ ...first, failure }, second)).toMatchObject({ model: 'second', reasons: ['max_tokens'] });
  });

  it('one whose context is too short is passed over', () => {
    expect(decideAmong({ ...first, contextTokens: 100 }, { ...second, tpotMs: 200 })).toMatchObject({ model: 'second' });
  });
});

describe('the confidence gate', () => {
  const judgedEdge = calibration(4, gate);
  const gated = edgeEstimate({ calibration: judgedEdge });
  const bareEdge = edgeEstimate({ calibration: calibration(4) });

  it('is asked for where there is an origin to go on with, and what it may cost is in the estimate', () => {
    const [bare, judged] = [bareEdge, gated].map((edge) => decideBy('balanced', {}, estimates({ edge })));
    expect(bare).toMatchObject({ route: 'edge', gate: null });
    expect(judged).toMatchObject({ route: 'edge', gate });
    expect(judged!.expected.edge!.usd).toBeGreaterThan(bare!.expected.edge!.usd);
    expect(judged!.expected.edge!.totalMs.p95).toBeGreaterThan(bare!.expected.edge!.totalMs.p95);
  });

  it('is not asked for without an origin, by a policy without one, or for the edge by name', () => {
    expect(decideBy('balanced', {}, estimates({ edge: gated, origins: [] }))).toMatchObject({ gate: null });
    expect(decideBy('edge-only', {}, estimates({ edge: gated }))).toMatchObject({ gate: null });
    expect(decideBy('balanced', { model: 'small' }, estimates({ edge: gated }))).toMatchObject({ gate: null });
  });

  it('that was failed sends the request to the origin, with the reason', () => {
    const refusal = { code: 'low_gate' as const, message: 'Unsure.', promptTokens: null, retryAfter: null };
    expect(short(decideBy('balanced', {}, estimates({ edge: edgeEstimate({ calibration: judgedEdge, refusal }) })))).toBe(
      'origin: low_gate',
    );
  });
});
