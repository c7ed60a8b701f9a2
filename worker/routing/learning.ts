import { type AnswerLengths, addLength } from './answer-lengths.ts';
import { edgePriors, originPriors } from './estimate.ts';
import type { OriginEstimate } from './estimates.ts';
import type { EdgeFigures, Line, OriginFigures, Outcome, Snapshot, Spread } from './figures.ts';
import { addPoint, addTraffic, follow, lineOf, noRegression, type Regression, rateOf, steady, type Traffic } from './moving.ts';
import { addValue, emptySketch, type QuantileSketch, quantileOf } from './quantile-sketch.ts';

/** All that was learnt from what happened. A value: `learn` returns the next one, and what has not changed is shared. */
export interface Learned {
  edge: LearnedRoute;
  /** By model; the least recently used first. */
  pools: ReadonlyMap<string, LearnedPool>;
  lengths: AnswerLengths;
}

interface LearnedRoute {
  /** Of the last outcome; 0 before the first. */
  asOf: number;
  /** Actual ÷ predicted times. */
  ttftRatio: QuantileSketch;
  totalRatio: QuantileSketch;
  serviceMs: number | null;
  /** Part of the gated answers that were given up; null before the first. */
  escalationRate: number | null;
}

interface LearnedAnswers extends LearnedRoute {
  /** Time to first token, as the gateway sees it, over tokens of prompt. */
  ttft: Regression;
  tpotMs: number | null;
  /** Part of the answers after a long silence that had to wait for a start, and when the last of them came; null before the first. */
  asleep: { part: number; at: number } | null;
}

interface LearnedPool extends LearnedAnswers {
  committed: Traffic;
  free: Traffic;
  /** The same of the answers to requests that could go to the same regions only, by these; the least recently used first. */
  byRegions: ReadonlyMap<string, LearnedAnswers>;
}

const nothing: LearnedRoute = { asOf: 0, ttftRatio: emptySketch, totalRatio: emptySketch, serviceMs: null, escalationRate: null };

const noAnswers: LearnedAnswers = { ...nothing, ttft: noRegression, tpotMs: null, asleep: null };

export const nothingLearned: Learned = { edge: nothing, pools: new Map(), lengths: new Map() };

const mostPools = 64;
const mostRegions = 16;
/** An answer of fewer tokens says little about the time per token. */
const leastTokensForTpot = 4;
/** With fewer outcomes the prior's spread is the better guess. */
const leastForSpread = 10;
const escalationSmoothing = 0.05;
/** Silences are rare, and what follows them is alike. */
const asleepSmoothing = 0.3;

/** What is known after one more request. An outcome that makes no sense changes nothing. */
export function learn(learned: Learned, outcome: Outcome): Learned {
  if (!makesSense(outcome)) return learned;
  const { key, kind, completionTokens, end } = outcome;
  const whole = end === 'stop' || end === 'length';
  return {
    edge: outcome.route === 'edge' ? learnedRoute(learned.edge, outcome) : learned.edge,
    pools: learnedPools(learned.pools, outcome),
    lengths: whole && completionTokens > 0 ? addLength(learned.lengths, key, kind, completionTokens, end === 'length') : learned.lengths,
  };
}

function makesSense({ at, totalMs, ttftMs, promptTokens, completionTokens }: Outcome): boolean {
  const isCount = (value: number) => value >= 0 && value < 1e8;
  return at > 0 && at < Number.MAX_SAFE_INTEGER && [totalMs, ttftMs ?? 0, promptTokens, completionTokens].every(isCount);
}

function learnedRoute<T extends LearnedRoute>(route: T, outcome: Outcome): T {
  const { at, end, gated, undisturbed, predicted, ttftMs, totalMs, completionTokens } = outcome;
  if (end === 'failed' || end === 'cancelled') return route;
  const next = { ...route, asOf: Math.max(route.asOf, at) };
  if (gated) {
    const before = route.escalationRate ?? edgePriors.escalationRate;
    next.escalationRate = before + escalationSmoothing * ((end === 'escalated' ? 1 : 0) - before);
  }
  if (end === 'escalated') return next;
  next.serviceMs = follow(route.serviceMs, totalMs);
  if (!undisturbed || !predicted) return next;
  const { beforeMs, tokenMs } = predicted;
  if (ttftMs !== null) next.ttftRatio = addValue(route.ttftRatio, ttftMs / (beforeMs + tokenMs));
  next.totalRatio = addValue(route.totalRatio, totalMs / (beforeMs + Math.max(1, completionTokens) * tokenMs));
  return next;
}

function learnedPools(pools: Learned['pools'], outcome: Outcome): Learned['pools'] {
  const { pool: model, route, at, free } = outcome;
  if (model === null) return pools;
  const known = pools.get(model) ?? newPool(at);
  const answered = route === 'origin' && outcome.model === model ? learnedOfPool(known, outcome) : known;
  const next = new Map(pools);
  next.delete(model);
  next.set(model, {
    ...answered,
    committed: addTraffic(known.committed, at, free ? 0 : 1),
    free: addTraffic(known.free, at, free ? 1 : 0),
  });
  if (next.size > mostPools) next.delete(next.keys().next().value!);
  return next;
}

function newPool(at: number): LearnedPool {
  const { committedPerSecond, freePerSecond } = originPriors;
  return { ...noAnswers, committed: steady(committedPerSecond, at), free: steady(freePerSecond, at), byRegions: new Map() };
}

function learnedOfPool(pool: LearnedPool, outcome: Outcome): LearnedPool {
  const name = nameOf(outcome.regions);
  const byRegions = new Map(pool.byRegions);
  byRegions.delete(name);
  byRegions.set(name, learnedAnswer(pool.byRegions.get(name) ?? noAnswers, outcome));
  if (byRegions.size > mostRegions) byRegions.delete(byRegions.keys().next().value!);
  return { ...learnedAnswer(pool, outcome), byRegions };
}

const nameOf = (regions: string[] | null): string => (regions === null ? '' : regions.toSorted().join());

function learnedAnswer<T extends LearnedAnswers>(pool: T, outcome: Outcome): T {
  const next = { ...learnedRoute(pool, outcome), asleep: learnedSleep(pool, outcome) };
  const { end, undisturbed, ttftMs, totalMs, promptTokens, completionTokens } = outcome;
  if (!undisturbed || ttftMs === null || (end !== 'stop' && end !== 'length')) return next;
  next.ttft = addPoint(pool.ttft, promptTokens, ttftMs);
  if (completionTokens >= leastTokensForTpot) next.tpotMs = follow(pool.tpotMs, (totalMs - ttftMs) / (completionTokens - 1));
  return next;
}

function learnedSleep({ asleep }: LearnedAnswers, outcome: Outcome): LearnedAnswers['asleep'] {
  if (outcome.asleep === null) return asleep;
  const before = asleep?.part ?? 1 - originPriors.gpuWarmth;
  return { part: before + asleepSmoothing * ((outcome.asleep ? 1 : 0) - before), at: outcome.at };
}

/**
 * What an answer says of whether its pool was asleep, for `Outcome.asleep`: something only after a silence for longer than a node is kept, as one that is busy may be slow
 * for other reasons. Some platforms hold a request while a node is started: then its first token, or what is no stream, comes later than expected by half of a start or more.
 * @param origin as it was estimated before
 * @param predicted without a start
 */
export function wasAsleep(
  { price, startSeconds, idleMs }: OriginEstimate,
  { beforeMs, tokenMs }: Line,
  { ttftMs, totalMs, completionTokens }: Pick<Outcome, 'ttftMs' | 'totalMs' | 'completionTokens'>,
): boolean | null {
  if (price.by !== 'gpu-hour' || price.keepSeconds === null || startSeconds === 0) return null;
  if (idleMs !== null && idleMs <= 1000 * price.keepSeconds) return null;
  const late = ttftMs === null ? totalMs - beforeMs - Math.max(1, completionTokens) * tokenMs : ttftMs - beforeMs - tokenMs;
  return late > 500 * startSeconds;
}

/** The figures of the edge that outcomes tell; the engine's own come before them in the list for `estimateEdge`. Null: none yet. */
export function learnedEdge({ edge }: Learned): Snapshot<EdgeFigures> | null {
  if (edge.asOf === 0) return null;
  const { asOf, serviceMs, escalationRate } = edge;
  return { asOf, values: { serviceMs, escalationRate, ...spreads(edge) } };
}

/**
 * The figures of a pool that outcomes tell, where its monitor's come before them in the list for `estimateOrigin`: those of how fast it is, as of the last answer,
 * and those of the traffic, as of now. How much of the time to first token is the way there is assumed, as outcomes tell both together.
 * @param regions where the request may go, null for all: what answers to such requests told comes first, and what they do not tell is taken from all of the pool's
 */
export function learnedOrigin(learned: Learned, model: string, regions: string[] | null, now: number): Snapshot<OriginFigures>[] {
  const pool = learned.pools.get(model);
  if (!pool) return [];
  const traffic = { committedPerSecond: rateOf(pool.committed, now), freePerSecond: rateOf(pool.free, now) };
  const there = pool.byRegions.get(nameOf(regions));
  if (!there) return [{ asOf: now, values: traffic }, ...figuresOf(pool)];
  const all = figuresOf(pool);
  // That a node elsewhere is up says nothing of those there; for who may go anywhere, none is elsewhere.
  const elsewhere = regions === null ? all : all.map(({ asOf, values }) => ({ asOf, values: { ...values, busy: null } }));
  return [{ asOf: now, values: traffic }, ...figuresOf(there), ...elsewhere];
}

function figuresOf(answers: LearnedAnswers): Snapshot<OriginFigures>[] {
  const { asOf, asleep, ttft, tpotMs, serviceMs } = answers;
  const snapshots: Snapshot<OriginFigures>[] = asleep ? [{ asOf: asleep.at, values: { asleep: asleep.part } }] : [];
  if (asOf === 0) return snapshots;
  const line = lineOf(ttft);
  const way = line && Math.min(originPriors.roundTripMs, line.base / 2);
  const speed = line && { roundTripMs: way, ttftBaseMs: Math.max(1, line.base - way!), ttftMsPerToken: line.slope };
  snapshots.push({ asOf, values: { ...speed, tpotMs, serviceMs, busy: true, ...spreads(answers) } });
  return snapshots;
}

function spreads({ ttftRatio, totalRatio }: LearnedRoute): { ttftSpread: Spread | null; totalSpread: Spread | null } {
  return { ttftSpread: spreadOf(ttftRatio), totalSpread: spreadOf(totalRatio) };
}

function spreadOf(ratio: QuantileSketch): Spread | null {
  if (ratio.total < leastForSpread) return null;
  const bounded = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
  const p50 = bounded(quantileOf(ratio, 0.5)!, 0.2, 5);
  return { p50, p95: bounded(quantileOf(ratio, 0.95)!, p50, 20) };
}
