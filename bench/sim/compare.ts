import { policyOf } from '../../worker/routing/policies.ts';
import type { Policy } from '../../worker/routing/types.ts';
import { bootstrap, type Interval } from './bootstrap.ts';
import { type Figures, figuresOf, scoreOf } from './figures.ts';
import { withHindsight } from './hindsight.ts';
import type { SimRequest } from './request.ts';
import { allEdge, allOrigin, hardFloor, type Measure, ours, type Router, randomMix, threshold, weightsOnly } from './routers.ts';
import type { Scenario } from './scenario.ts';
import { type RunResult, simulate } from './simulate.ts';
import type { Trace } from './traces.ts';

/** One way to decide, in one scenario. */
export interface Row extends Figures {
  router: string;
  kind: 'ours' | 'baseline' | 'threshold';
  /** Its score less that of `balanced`, by run: above zero, `balanced` is better. */
  worseBy: Interval;
}

export interface Comparison {
  scenario: string;
  title: string;
  trace: string;
  requests: number;
  runs: number;
  rows: Row[];
  /** All thresholds that were tried, for the curve; the best of them, in hindsight and for this scenario alone, is among the rows. */
  sweep: Row[];
  bestThreshold: string;
  /** Baselines that are no worse on money, 95th percentile and quality, and better on one. */
  dominating: string[];
  verdict: 'better' | 'worse' | 'no difference';
  /** What could have been won, in some of the runs; null: not asked for. */
  hindsight: WithHindsight | null;
}

/** Means over some runs: of the best threshold, of balanced, of what hindsight makes of the better of the two, and of what nobody can go below. */
export interface WithHindsight {
  runs: number;
  threshold: number;
  balanced: number;
  found: number;
  tried: number;
  moved: number;
  bound: number | null;
}

const tried: [Measure, number[]][] = [
  ['prompt', [0, 32, 64, 96, 128, 192, 256]],
  ['prompt + max_tokens', [48, 80, 128, 192, 320]],
];

/**
 * Plays every run of the scenario once with each way to decide: the same requests for all.
 * @param hindsight in so many of the runs, the first ones
 */
export async function compare(scenario: Scenario, trace: Trace, hindsight = 0): Promise<Comparison> {
  const { maxPromptTokens: edgeMaxPromptTokens, maxTokens: edgeMaxTokens } = scenario.edge;
  const policy = policyOf('balanced', { edgeMaxPromptTokens, edgeMaxTokens });
  const runs = Array.from({ length: scenario.runs }, (_, run) => trace.of(scenario, run));
  const play = async (router: Router): Promise<RunResult[]> => {
    const results: RunResult[] = [];
    for (const requests of runs) results.push(await simulate(scenario, requests, router));
    return results;
  };
  const reference = await play(ours('balanced'));
  const row = (router: string, kind: Row['kind'], results: RunResult[]): Row => {
    const worseBy = bootstrap(results.map((result, i) => scoreOf(result, policy) - scoreOf(reference[i]!, policy)));
    return { router, kind, ...figuresOf(results, policy), worseBy };
  };
  const rows = [row('balanced', 'ours', reference)];
  for (const name of ['latency', 'cost', 'edge-first'] as const) rows.push(row(name, 'ours', await play(ours(name))));
  for (const router of [hardFloor, weightsOnly]) rows.push(row(router.name, 'ours', await play(router)));
  for (const router of [allOrigin, allEdge]) rows.push(row(router.name, 'baseline', await play(router)));

  const sweep: Row[] = [];
  const swept: RunResult[][] = [];
  for (const [measure, lengths] of tried) {
    for (const tokens of lengths) {
      const router = threshold(tokens, measure);
      const results = await play(router);
      swept.push(results.slice(0, hindsight));
      sweep.push(row(router.name, 'threshold', results));
    }
  }
  const best = sweep.reduce((a, b) => (b.score < a.score ? b : a));
  rows.push({ ...best, router: `threshold: ${best.router}`, kind: 'baseline' });
  rows.push(row('random mix', 'baseline', await play(randomMix(shareOf(reference, edgeMaxPromptTokens), 11))));

  const baselines = rows.filter(({ kind }) => kind === 'baseline');
  return {
    scenario: scenario.name,
    title: scenario.title,
    trace: trace.name,
    requests: runs[0]!.length,
    runs: runs.length,
    rows,
    sweep,
    bestThreshold: best.router,
    dominating: baselines.filter((baseline) => dominates(baseline, rows[0]!)).map(({ router }) => router),
    hindsight: hindsight > 0 ? await lookBack(scenario, policy, runs, swept[sweep.indexOf(best)]!, reference) : null,
    verdict: best.worseBy.low > 0 ? 'better' : best.worseBy.high < 0 ? 'worse' : 'no difference',
  };
}

/** Requests that are moved at most in a run: all of most scenarios, a part of those with thousands. */
const mostMoves = 400;

async function lookBack(
  scenario: Scenario,
  policy: Policy,
  runs: SimRequest[][],
  threshold: RunResult[],
  balanced: RunResult[],
): Promise<WithHindsight> {
  const sum = { runs: threshold.length, threshold: 0, balanced: 0, found: 0, tried: 0, moved: 0, bound: 0 as number | null };
  for (const [i, result] of threshold.entries()) {
    const [theirs, ours] = [scoreOf(result, policy), scoreOf(balanced[i]!, policy)];
    const { courses } = ours < theirs ? balanced[i]! : result;
    const atEdge = new Set(courses.flatMap(({ request, route }) => (route === 'edge' ? [request] : [])));
    const requests = runs[i]!;
    const { after, tried, moved, bound } = await withHindsight(scenario, requests, requests.map((request) => atEdge.has(request)), policy, mostMoves); // biome-ignore format: one line
    sum.threshold += theirs / sum.runs;
    sum.balanced += ours / sum.runs;
    sum.found += Math.min(after, theirs, ours) / sum.runs;
    sum.tried += tried;
    sum.moved += moved;
    sum.bound = bound === null || sum.bound === null ? null : sum.bound + bound / sum.runs;
  }
  return sum;
}

/** Of the requests that the edge may take at all, those that went there. */
function shareOf(results: RunResult[], edgeMaxPromptTokens: number): number {
  const courses = results.flatMap((result) => result.courses);
  const open = courses.filter(({ request }) => !request.originOnly && request.promptTokens <= edgeMaxPromptTokens);
  return open.length === 0 ? 0 : open.filter(({ route }) => route === 'edge').length / open.length;
}

/** No worse in all three and better in one, by more than one percent: less is noise. */
export function dominates(a: Figures, b: Figures): boolean {
  const margins = [
    [a.usd, b.usd],
    [a.totalMs.p95, b.totalMs.p95],
    [1 - a.quality, 1 - b.quality],
  ] as const;
  const slack = 0.01;
  return margins.every(([x, y]) => x <= y * (1 + slack)) && margins.some(([x, y]) => x < y * (1 - slack));
}
