import { decide } from '../../worker/routing/decide.ts';
import { policyOf } from '../../worker/routing/policies.ts';
import type { Policy } from '../../worker/routing/types.ts';
import { generator } from '../random.ts';
import { failureMs, scoreOf } from './figures.ts';
import { bestQualityOfEdge } from './quality.ts';
import { type SimRequest, tokensOf } from './request.ts';
import { type Router, split } from './routers.ts';
import type { Scenario } from './scenario.ts';
import { simulate } from './simulate.ts';

/** What somebody would reach who knows how a run comes out. */
export interface Hindsight {
  /** Of the run as it began. */
  before: number;
  /** After the requests that were tried had been moved where that lowered the score of the whole run. */
  after: number;
  tried: number;
  moved: number;
  /** What no router can go below; null where the scenario has none that is worth saying. */
  bound: number | null;
}

/**
 * Plays a run with the routes given, and then moves one request after the other to the other side, keeping what lowers the score of the whole run: a search that finds what
 * single moves can win, once through. It knows what no router knows, and is no bound: moving several together may win more.
 * @param startsAtEdge by request
 * @param tries at most; drawn by lot where there are more requests
 */
export async function withHindsight(
  scenario: Scenario,
  requests: SimRequest[],
  startsAtEdge: readonly boolean[],
  policy: Policy,
  tries: number,
): Promise<Hindsight> {
  const atEdge = [...startsAtEdge];
  const router = split('with hindsight', (_, index) => atEdge[index]!);
  const play = async () => scoreOf(await simulate(scenario, requests, router), policy);
  const before = await play();
  const open = requests.flatMap((request, i) => (mayMove(request, scenario) ? [i] : []));
  const random = generator(3);
  const order = open.map((i) => ({ i, at: random() })).toSorted((a, b) => a.at - b.at);
  let [after, moved] = [before, 0];
  for (const { i } of order.slice(0, tries)) {
    atEdge[i] = !atEdge[i];
    const score = await play();
    if (score < after - 1e-9) {
      after = score;
      moved++;
    } else atEdge[i] = !atEdge[i];
  }
  return { before, after, tried: Math.min(tries, order.length), moved, bound: await boundOf(scenario, requests, policy) };
}

const mayMove = ({ originOnly, promptTokens }: SimRequest, { edge }: Scenario): boolean =>
  !originOnly && promptTokens <= edge.maxPromptTokens;

/**
 * A score that no way to decide can go below, where the pool has a fixed size: its bill, and for each request the better of both routes as if it were alone, with all of its
 * prefix cached, the edge loaded and for nothing, and its answer passing the gate where it does; in the time when the pool is dead, the edge or an error.
 */
async function boundOf(scenario: Scenario, requests: SimRequest[], policy: Policy): Promise<number | null> {
  const { origin, edge } = scenario;
  if (origin.minNodes !== origin.maxNodes) return null;
  const alone = { ...scenario, isolates: 1, edge: { ...edge, loadMs: 0.001, gate: false }, origin: { ...origin, dead: null } };
  const only = (route: 'edge' | 'origin'): Router => ({
    name: route,
    decide: (features, estimates, limits) => decide(features, estimates, policyOf(`${route}-only`, limits)),
  });
  const lastsMs = requests.at(-1)!.at;
  const isDead = ({ at }: SimRequest) => origin.dead !== null && at >= origin.dead[0] * lastsMs && at < origin.dead[1] * lastsMs;
  const free = { edge: 0, origin: 0 };
  let sum = 0;
  for (const request of requests) {
    const single = {
      ...request,
      at: 0,
      promptTokens: Math.max(1, request.promptTokens - tokensOf(request, request.blocks.length)),
      blocks: [],
    };
    const score = async (route: 'edge' | 'origin') => {
      const { courses, starts, loads } = await simulate(alone, [single], only(route));
      const quality = route === 'edge' && courses[0]!.quality > 0 ? bestQualityOfEdge(request.judgement) : courses[0]!.quality;
      return scoreOf({ courses: [{ ...courses[0]!, quality }], usd: free, starts, loads }, policy);
    };
    const near = mayMove(request, scenario) ? await score('edge') : Number.POSITIVE_INFINITY;
    const lost = 1000 * (policy.weights.quality + (policy.weights.latency * failureMs) / 1000);
    sum += Math.min(near, isDead(request) ? lost : await score('origin'));
  }
  const billed = (origin.minNodes * origin.usdPerHour * lastsMs) / 3_600_000;
  return (sum + 1000 * policy.weights.cost * billed) / requests.length;
}
