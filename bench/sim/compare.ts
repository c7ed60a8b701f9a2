import { policyOf } from '../../worker/routing/policies.ts';
import { bootstrap, type Interval } from './bootstrap.ts';
import { type Figures, figuresOf, scoreOf } from './figures.ts';
import { allEdge, allOrigin, type Measure, ours, type Router, randomMix, threshold, weightsOnly, withoutFloor } from './routers.ts';
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
}

const tried: [Measure, number[]][] = [
  ['prompt', [0, 32, 64, 96, 128, 192, 256]],
  ['prompt + max_tokens', [48, 80, 128, 192, 320]],
];

/** Plays every run of the scenario once with each way to decide: the same requests for all. */
export async function compare(scenario: Scenario, trace: Trace): Promise<Comparison> {
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
  for (const router of [withoutFloor, weightsOnly]) rows.push(row(router.name, 'ours', await play(router)));
  for (const router of [allOrigin, allEdge]) rows.push(row(router.name, 'baseline', await play(router)));

  const sweep: Row[] = [];
  for (const [measure, lengths] of tried) {
    for (const tokens of lengths) {
      const router = threshold(tokens, measure);
      sweep.push(row(router.name, 'threshold', await play(router)));
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
    verdict: best.worseBy.low > 0 ? 'better' : best.worseBy.high < 0 ? 'worse' : 'no difference',
  };
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
