import type { EdgePrice, OriginPrice, Spread } from './figures.ts';
import type { Calibration, Failure, Quantiles, Refusal } from './types.ts';

/**
 * What is known of the routes while a request is being placed: made once per request by `estimateEdge`, `estimateOrigin` (one per pool that may be asked) and
 * `estimateAnswer`. When a route refuses or fails, the caller sets its `refusal` or `failure` and decides again.
 */
export interface Estimates {
  /** Null: this gateway has no edge model. */
  edge: EdgeEstimate | null;
  /** The pools that may be asked for this request, the preferred one first. Empty: this gateway has no origin. */
  origins: OriginEstimate[];
  /** Tokens of the answer if nothing limits it. */
  answer: Quantiles;
}

export interface EdgeState {
  /** Null: not known, because the engine could not be asked; there is a refusal then. */
  model: string | null;
  refusal: Refusal | null;
}

/** The edge as it is expected to be now; every number is finite and within sane bounds. */
export interface EdgeEstimate extends EdgeState {
  /** Tokens per second of a session that is alone. */
  prefill: number;
  decode: number;
  running: number;
  queued: number;
  slots: number;
  /** Mean time of a whole answer; null for that of this request. */
  serviceMs: number | null;
  /** Probability that the weights are in memory. */
  warmth: number;
  loadMs: number;
  roundTripMs: number;
  /** Prompt and answer together; null when not known. */
  contextTokens: number | null;
  /** Part of the gated answers that are given up for the origin. */
  escalationRate: number;
  ttftSpread: Spread;
  totalSpread: Spread;
  price: EdgePrice;
  calibration: Calibration | null;
  /** Something of this was measured; false: priors. */
  measured: boolean;
}

export interface OriginState {
  model: string;
  failure: Failure | null;
}

/** A pool as it is expected to be now; every number is finite and within sane bounds. */
export interface OriginEstimate extends OriginState {
  roundTripMs: number;
  ttftBaseMs: number;
  ttftMsPerToken: number;
  tpotMs: number;
  waiting: number;
  slots: number;
  serviceMs: number | null;
  /** Part of the capacity in use, 0..1. */
  use: number;
  /** Probability that a node is up. */
  warmth: number;
  /** Since somebody's request was being answered there for the last time, as far as known; null: never. */
  idleMs: number | null;
  /** Every node has failed and is left out for a while: to be asked only where no other pool may be. */
  out: boolean;
  /** To be asked only where nobody else may answer: that may cost a timeout. */
  hanging: boolean;
  /** Requests per second that only an origin may answer, and such as the edge may answer too. */
  committedPerSecond: number;
  freePerSecond: number;
  ttftSpread: Spread;
  totalSpread: Spread;
  price: OriginPrice;
  /** Seconds from nothing to the first token. */
  startSeconds: number;
  contextTokens: number | null;
  /** Where its nodes are; null for a node that is nowhere in particular. */
  regions: (string | null)[];
  /** Probability that its answer is good enough, by configuration; 1 for the model that the others are judged by. */
  quality: number;
  measured: boolean;
}
