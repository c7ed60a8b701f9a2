import { corrected } from '../models/capability/signals.ts';
import type { EdgeDirectory } from './edge/directory.ts';
import { poolFigures } from './origin/figures.ts';
import type { Pool } from './origin/pool.ts';
import { estimateAnswer } from './routing/answer-lengths.ts';
import { estimateEdge, estimateOrigin } from './routing/estimate.ts';
import type { EdgeState, Estimates, OriginEstimate } from './routing/estimates.ts';
import type { EdgeFigures, EdgePrice, OriginFigures, Outcome, Snapshot } from './routing/figures.ts';
import { type Learned, learn, learnedEdge, learnedOrigin, nothingLearned } from './routing/learning.ts';
import { originPriceOf } from './routing/prices.ts';
import type { Decision, Features, Route } from './routing/types.ts';

/** Figures made of what was learnt are used for so long, milliseconds: to make them takes as long as to decide. */
const figuresLifetime = 2_000;
/** A decision so long ago says nothing about flapping, milliseconds. */
const decisionLifetime = 60_000;
const mostDecisions = 1_024;

/** For whom an estimate is made. */
interface Asker {
  kind: Features['kind'];
  caller: string;
  /** Of origins, where its data may go; null for anywhere. */
  regions?: string[] | null;
}

/**
 * What this isolate knows of the routes, as values: what engine and monitor said last, what outcomes have told, and the last decisions. Nobody is asked for it. An isolate
 * that knows nothing goes by priors.
 */
export class Knowledge {
  readonly #edgePrice: EdgePrice;
  #learned: Learned = nothingLearned;
  #correction = 1;
  #edge: { at: number; figures: Snapshot<EdgeFigures> | null } | null = null;
  readonly #pools = new Map<string, { at: number; figures: Snapshot<OriginFigures>[] }>();
  readonly #decisions = new Map<string, { route: Route; at: number }>();

  constructor(edgePrice: EdgePrice) {
    this.#edgePrice = edgePrice;
  }

  /** What engines counted over what was estimated of prompts' tokens. */
  get correction(): number {
    return this.#correction;
  }

  /** The edge has counted a prompt's tokens. @param estimated with `correction` as it was */
  counted(estimated: number | null, counted: number): void {
    if (estimated !== null) this.#correction = corrected(this.#correction, estimated, counted);
  }

  /**
   * The routes as they are expected to be now.
   * @param edge null where this gateway has none
   * @param pools that may be asked, the preferred one first
   */
  estimates(
    edge: { directory: EdgeDirectory; state: EdgeState } | null,
    pools: readonly Pool[],
    { caller, kind, regions = null }: Asker,
    now: number,
  ): Estimates {
    return {
      edge: edge && this.#estimateEdge(edge.directory, edge.state, now),
      origins: pools.map((pool) => this.#estimateOrigin(pool, regions, now)),
      answer: estimateAnswer(this.#learned.lengths, caller, kind),
    };
  }

  #estimateEdge({ contextTokens, calibration, figures }: EdgeDirectory, state: EdgeState, now: number) {
    if (!this.#edge || now - this.#edge.at > figuresLifetime) this.#edge = { at: now, figures: learnedEdge(this.#learned) };
    const seen = [figures, this.#edge.figures].filter((snapshot) => snapshot !== null);
    return estimateEdge(state, { price: this.#edgePrice, contextTokens, calibration }, seen, now);
  }

  #estimateOrigin(pool: Pool, regions: string[] | null, now: number): OriginEstimate {
    const { model, endpoints, quality } = pool.config;
    const name = regions === null ? model : `${model}\n${regions.join()}`;
    let learned = this.#pools.get(name);
    if (!learned || now - learned.at > figuresLifetime) {
      learned = { at: now, figures: learnedOrigin(this.#learned, model, regions, now) };
      this.#pools.set(name, learned);
    }
    // What it costs and how much it holds, where the request's data may go.
    const open = pool.within(regions).map(({ config }) => config);
    const longest = Math.max(...open.map(({ context }) => context ?? Number.POSITIVE_INFINITY));
    const traits = {
      price: originPriceOf(open[0]?.price ?? null),
      contextTokens: Number.isFinite(longest) ? longest : null,
      regions: endpoints.map(({ region }) => region),
      quality: quality ?? 1,
    };
    return estimateOrigin({ model, failure: null }, traits, [...poolFigures(pool, now, regions), ...learned.figures], now);
  }

  /** The route taken for this key and kind lately where both could be; null when there was none. */
  previousRoute({ caller, kind }: Asker, now: number): Route | null {
    const known = this.#decisions.get(`${kind}\n${caller}`);
    return known && now - known.at < decisionLifetime ? known.route : null;
  }

  /** Both routes could be taken: the next decision keeps to this one while they are nearly equal. */
  decided({ route, runnerUp }: Decision, { caller, kind }: Asker, now: number): void {
    if (route === 'none' || !runnerUp) return;
    const name = `${kind}\n${caller}`;
    this.#decisions.delete(name);
    this.#decisions.set(name, { route, at: now });
    if (this.#decisions.size > mostDecisions) this.#decisions.delete(this.#decisions.keys().next().value!);
  }

  /** What came of a request. Takes a few microseconds, and some tens with hundreds of keys. */
  learn(outcome: Outcome): void {
    this.#learned = learn(this.#learned, outcome);
  }
}
