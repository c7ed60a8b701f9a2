import { describe, expect, it } from 'vitest';
import { generator } from '../../../bench/random.ts';
import { apiMix } from '../../../bench/sim/api-mix.ts';
import { bootstrap } from '../../../bench/sim/bootstrap.ts';
import { breakEven } from '../../../bench/sim/break-even.ts';
import { dominates } from '../../../bench/sim/compare.ts';
import { figuresOf, scoreOf } from '../../../bench/sim/figures.ts';
import { withHindsight } from '../../../bench/sim/hindsight.ts';
import { judge } from '../../../bench/sim/quality.ts';
import { allEdge, allOrigin, ours, type Router, randomMix, threshold } from '../../../bench/sim/routers.ts';
import { readScenario, type Scenario, scenarioNames } from '../../../bench/sim/scenario.ts';
import { simulate } from '../../../bench/sim/simulate.ts';
import { within } from '../../../bench/sim/validate.ts';
import { policyOf } from '../../../worker/routing/policies.ts';
import { simRequest } from './requests.ts';

const requestsOf = ({ requestsPerSecond, originOnlyShare }: Scenario, count = 120) => apiMix(count, requestsPerSecond, originOnlyShare, 5);
const policy = policyOf('balanced', { edgeMaxPromptTokens: 256, edgeMaxTokens: 128 });

describe.each(scenarioNames)('the scenario %s', (name) => {
  const scenario = readScenario(name);
  const requests = requestsOf(scenario);
  const routers = [ours('balanced'), ours('latency'), ours('edge-first'), allOrigin, allEdge, threshold(96, 'prompt'), randomMix(0.5, 1)];

  it.each(routers)('every request ends once, with $name', async (router) => {
    const { courses, usd } = await simulate(scenario, requests, router);
    expect(courses).toHaveLength(requests.length);
    expect(new Set(courses.map(({ request }) => request)).size).toBe(requests.length);
    for (const { ttftMs, totalMs, quality } of courses) {
      expect(ttftMs).toBeGreaterThanOrEqual(0);
      expect(totalMs).toBeGreaterThanOrEqual(ttftMs);
      expect(quality).toBeGreaterThanOrEqual(0);
      expect(quality).toBeLessThanOrEqual(1);
    }
    expect(usd.edge + usd.origin).toBeGreaterThan(0);
  });
});

describe('a simulation', () => {
  const scenario = readScenario('zero');

  it('comes out the same every time', async () => {
    const [a, b] = [
      await simulate(scenario, requestsOf(scenario), ours('balanced')),
      await simulate(scenario, requestsOf(scenario), ours('balanced')),
    ];
    expect(a).toEqual(b);
    const other = await simulate(scenario, apiMix(120, 0.033, 0.1, 6), ours('balanced'));
    expect(other.usd).not.toEqual(a.usd);
  });

  it('asks decide: its policies go where they must', async () => {
    const share = async (router: Router) => {
      const runs = [await simulate(scenario, requestsOf(scenario), router)];
      return figuresOf(runs, policy).edge;
    };
    expect(await share(ours('origin-only'))).toBe(0);
    expect(await share(ours('edge-first'))).toBeGreaterThan(0.4);
    expect(await share(ours('edge-first'))).toBeGreaterThanOrEqual(await share(ours('balanced')));
  });

  it('starts a GPU for the first who needs it, who waits, and lets it go', async () => {
    const only = [simRequest({ originOnly: true }), simRequest({ at: 3_600_000, originOnly: true })];
    const { courses, usd, starts } = await simulate({ ...scenario, isolates: 1 }, only, allOrigin);
    expect(starts).toBe(2);
    for (const { ttftMs } of courses) expect(ttftMs).toBeGreaterThan(120_000);
    // Each is paid for its start, its work and the time that it is kept, to the autoscaler's next look.
    expect(usd.origin * 3600).toBeGreaterThan(2 * 420);
    expect(usd.origin * 3600).toBeLessThan(2 * 436);
  });

  it('a pool that is dead fails whom nobody else can answer, and the edge stands in for the others', async () => {
    const dead = { ...scenario, origin: { ...scenario.origin, minNodes: 1, dead: [0, 1] as [number, number] } };
    const four = [simRequest({ at: 1 }), simRequest({ at: 2, originOnly: true }), simRequest({ at: 30_000 }), simRequest({ at: 60_000 })];
    const { courses } = await simulate(dead, four, ours('balanced'));
    const routes = courses.toSorted((a, b) => a.request.at - b.request.at).map(({ route }) => route);
    expect(routes).toEqual(['edge', null, 'edge', 'origin']);
  });

  it('the gate gives up answers whose first tokens are unsure, before anything was sent', async () => {
    const always = { ...scenario, origin: { ...scenario.origin, minNodes: 1 } };
    const sure = simRequest({ at: 0, judgement: { edge: 0.9, origin: 0.95, estimate: 0.9, sign: 2 } });
    const unsure = simRequest({ at: 60_000, judgement: { edge: 0.9, origin: 0.95, estimate: 0.9, sign: -2 } });
    const { courses } = await simulate(always, [sure, unsure], ours('edge-first'));
    expect(courses.map(({ route, escalated }) => ({ route, escalated }))).toEqual([
      { route: 'edge', escalated: false },
      { route: 'origin', escalated: true },
    ]);
    expect(courses[1]!.quality).toBe(0.95);
  });
});

describe('the model of quality', () => {
  it('tells the router an estimate that is calibrated and not certain', () => {
    const random = generator(1);
    const drawn = Array.from({ length: 4_000 }, () => judge('extract', random));
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    for (const [low, high] of [
      [0.6, 0.75],
      [0.75, 0.85],
      [0.85, 0.95],
    ] as const) {
      const group = drawn.filter(({ estimate }) => estimate >= low && estimate < high);
      expect(mean(group.map(({ edge }) => edge))).toBeCloseTo(mean(group.map(({ estimate }) => estimate)), 1);
    }
    expect(mean(drawn.map(({ edge }) => edge))).toBeCloseTo(0.8, 1);
    expect(mean(drawn.map(({ origin }) => origin))).toBeCloseTo(0.94, 1);
  });
});

describe('the figures', () => {
  it('an error costs a bad answer and half a minute, however fast it came', () => {
    const failed = {
      request: simRequest({ stream: false }),
      route: null,
      ttftMs: 5,
      totalMs: 5,
      quality: 0,
      escalated: false,
      refusals: 1,
    };
    expect(scoreOf({ courses: [failed], usd: { edge: 0, origin: 0 }, starts: 0, loads: 0 }, policy)).toBeCloseTo(
      1000 * (5e-4 + 30 * 1e-4),
      6,
    );
  });

  it('dominating is being no worse in anything and better in something', () => {
    const figures = (usd: number, p95: number, quality: number) =>
      ({ usd, totalMs: { p50: 0, p95, p99: 0 }, quality }) as Parameters<typeof dominates>[0];
    expect(dominates(figures(1, 1, 0.9), figures(2, 1, 0.9))).toBe(true);
    expect(dominates(figures(1, 1, 0.9), figures(1, 1, 0.9))).toBe(false);
    expect(dominates(figures(1, 1, 0.8), figures(2, 2, 0.9))).toBe(false);
    // Less than one percent is noise.
    expect(dominates(figures(1, 0.995, 0.9), figures(1, 1, 0.9))).toBe(false);
  });

  it('an interval holds the mean and shrinks with more values', () => {
    const values = Array.from({ length: 50 }, (_, i) => i % 5);
    const { mean, low, high } = bootstrap(values);
    expect(mean).toBe(2);
    expect(low).toBeLessThan(2);
    expect(high).toBeGreaterThan(2);
    const few = bootstrap(values.slice(0, 10));
    expect(high - low).toBeLessThan(few.high - few.low);
  });
});

describe('a comparison with the running gateway', () => {
  const off = (...values: number[]) => values.map((off, i) => ({ what: `figure ${i}`, off }));

  it('passes where every median is within the tolerance, and names the worst', () => {
    expect(within(off(-0.15, 0.25, 0), 0.25)).toEqual({
      passed: true,
      text: 'PASSED: all 3 medians are predicted within 25 %; the worst is 25 % off (figure 1).',
    });
  });

  it('fails by name where one is not, or is no number', () => {
    expect(within(off(-0.26, 0.2), 0.25)).toEqual({
      passed: false,
      text: 'FAILED: 1 of 2 medians are off by more than 25 %: figure 0 (-26 %).',
    });
    expect(within(off(Number.NaN), 0.25).passed).toBe(false);
  });
});

describe('hindsight', () => {
  const scenario = { ...readScenario('warm'), isolates: 1 };
  const requests = requestsOf(scenario, 30);

  it('moves back what was put at the wrong side, down to what cannot be beaten', async () => {
    const wrong = requests.map((_, i) => i % 3 === 0);
    const { before, after, moved, bound } = await withHindsight(scenario, requests, wrong, policy, 100);
    const right = await withHindsight(
      scenario,
      requests,
      requests.map(() => false),
      policy,
      0,
    );
    expect(moved).toBeGreaterThan(3);
    expect(after).toBeLessThan(before);
    expect(after).toBeCloseTo(right.before, 3);
    expect(bound!).toBeLessThanOrEqual(after);
    expect(bound!).toBeGreaterThan(0.95 * after);
  });

  it('has no bound where the pool grows and shrinks', async () => {
    const zero = readScenario('zero');
    const few = requestsOf(zero, 5);
    expect(
      (
        await withHindsight(
          zero,
          few,
          few.map(() => true),
          policy,
          2,
        )
      ).bound,
    ).toBe(null);
  });
});

describe('where a GPU begins to win', () => {
  it('later for shorter work and dearer GPUs', () => {
    expect(breakEven('worker', 1, 32, 16)).toBeGreaterThan(breakEven('worker', 1, 256, 128));
    expect(breakEven('worker', 2.5, 32, 16)).toBeGreaterThan(2 * breakEven('worker', 1, 32, 16));
  });

  it('is where the edge costs as much as a share of the hour', () => {
    const seconds = 32 / 84 + 16 / 30;
    expect(breakEven('worker', 1, 32, 16)).toBeCloseTo(1 / (seconds * 1000 * 0.02e-6 + 0.3e-6), -3);
  });
});
