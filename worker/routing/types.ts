import type { Gate } from '../../models/capability/gate.ts';
import type { TextFeatures } from '../../models/capability/signals.ts';
import type { Line } from './figures.ts';
import type { Reason } from './reasons.ts';

export type { Gate };

export type Route = 'edge' | 'origin';

/** The median and the 95th percentile. */
export interface Quantiles {
  p50: number;
  p95: number;
}

/**
 * What the rules know of a request. worker/features.ts takes from the body what the body tells; the gateway adds what it remembers: `cachedTokens`, `difficulty` (to be
 * asked only where `hasChoice`), `escalatedEarlier` and `previousRoute`. `plainFeatures` has neutral values for everything from `promptTokens` on.
 */
export interface Features {
  /** The model the client asked for. */
  model: string;
  /** UTF-8 bytes of the messages' text. */
  promptBytes: number;
  /** Tokens the client allows for the answer (max_completion_tokens wins over max_tokens), null when it set no limit. */
  maxTokens: number | null;
  /** The parameter that set `maxTokens`. */
  maxTokensParam: 'max_completion_tokens' | 'max_tokens';
  /** What the edge model cannot do at all, in the order found. */
  obstacles: Obstacle[];
  /** The client asked for thinking: the edge model can, but an origin does it better. */
  thinking: boolean;
  /** The conversation contains tool calls or their results. */
  toolHistory: boolean;
  /** Tokens of the prompt as the edge model has counted them; null until then. */
  promptTokens: number | null;
  /** What they are estimated to be, by script; null for bytes ÷ 4. Good enough to weigh time and money, not to refuse. */
  estimatedTokens: number | null;
  /** Tokens at the prompt's start that the edge has probably evaluated already; 0 when that is not known. */
  cachedTokens: number;
  stream: boolean;
  /** What sort of prompt it is, for the lengths of answers: any word from a small set. */
  kind: string;
  /** What the text looks like. Null: nobody looked. */
  text: TextFeatures | null;
  /** What the learned difficulty model says; null when it was not asked or does not know. */
  difficulty: { weakFails: number; strongHelps: number } | null;
  /** An earlier turn of this conversation was escalated within the hour. */
  escalatedEarlier: boolean;
  /** The route of the last decision for this key and kind that had a `runnerUp`; null when there was none lately. */
  previousRoute: Route | null;
}

/** What the features are where nobody looked closer. */
export const plainFeatures = {
  promptTokens: null,
  estimatedTokens: null,
  cachedTokens: 0,
  stream: false,
  kind: 'any',
  text: null,
  difficulty: null,
  escalatedEarlier: false,
  previousRoute: null,
} as const satisfies Partial<Features>;

/** A part of the request that the edge model cannot serve. */
export interface Obstacle {
  reason: 'not_text' | 'tools' | 'response_format' | 'n' | 'unsupported_parameter';
  /** The parameter at fault, as a path. */
  param: string;
}

/** What is known about the edge model's answers: what `decide` needs of a pack's calibration (models/capability/calibration.ts). */
export interface Calibration {
  version: number;
  /** The edge model that this was measured with. */
  model: string;
  /** False: a catalog prior, measured with nothing. */
  calibrated: boolean;
  /** Added up into a score, by feature. */
  weights: Record<string, number>;
  /** Reliability: score and the share of good answers there, by rising score. */
  curve: [score: number, probability: number][];
  gate: Gate | null;
}

/** The edge was asked and refused. */
export interface Refusal {
  code: 'prompt_too_long' | 'queue_full' | 'model_unavailable' | 'bad_request' | 'low_gate';
  message: string;
  promptTokens: number | null;
  /** Seconds. */
  retryAfter: number | null;
  /** The parameter at fault, of a bad request; absent or null: the messages. */
  param?: string | null;
}

/** The origin was asked and could not answer. */
export interface Failure {
  /** HTTP status a client gets when nobody else can answer. */
  status: number;
  code: string;
  message: string;
  /** Seconds. */
  retryAfter: number | null;
}

export interface Limits {
  /** Longest prompt the edge takes, tokens. */
  edgeMaxPromptTokens: number;
  /** Longest answer the edge gives, tokens. */
  edgeMaxTokens: number;
}

export type PolicyName = 'balanced' | 'latency' | 'cost' | 'edge-only' | 'origin-only' | 'edge-first';

/** What the deployment, the key and the request want; `policyOf` makes one from a name. */
export interface Policy {
  name: PolicyName;
  weights: Weights;
  /** The edge is not asked below this probability that its answer is good enough, while there is an origin. */
  minQuality: number;
  /** `minQuality` and the gate give way where even a useless answer of the edge would be the better bargain (bargain.ts). */
  yields: boolean;
  /** Part of the time that is time to first token, for a stream; the rest is the time of the whole answer. 0..1 */
  ttftShare: number;
  /** The other route must be better by this part of the larger score to be changed to. */
  hysteresis: number;
  /** `edge-only` and `origin-only` leave one; a model asked for by name does not lift this. */
  routes: 'both' | Route;
  /** The edge whenever it is allowed, good enough and keeps the target. */
  edgeFirst: boolean;
  /** The edge's first tokens may be held back and judged. */
  gate: boolean;
  /** Both routes may be started, the loser is cancelled. */
  race: boolean;
  /** The request's target for the first token; null for none. It is kept by a route whose 95th percentile is below. */
  maxTtftMs: number | null;
  residency: Residency;
  limits: Limits;
}

/** US dollars for a dollar, for a second of waiting, and for an answer that is not good enough: the score is in dollars. */
export interface Weights {
  cost: number;
  latency: number;
  quality: number;
}

/** Where the request's data may go. Set by the deployment or the key; a request may narrow it, never widen it. */
export interface Residency {
  edge: boolean;
  /** Regions whose origin nodes may be used; null for all, empty for none. A node without a region is in none of them. */
  originRegions: string[] | null;
}

/** A time, milliseconds. The mean is what counts in the score. */
export interface Timing extends Quantiles {
  mean: number;
}

/** What is expected of a route, for this request. */
export interface Expected {
  model: string;
  ttftMs: Timing;
  totalMs: Timing;
  usd: number;
  /** False: `usd` rests on a price that nobody has set. */
  priced: boolean;
  /** Probability that the answer is good enough. */
  quality: number;
  /** False: `quality` rests on priors. */
  calibrated: boolean;
  /** Tokens of the answer. */
  outputTokens: Quantiles;
  /** For the comparison with what happens: `Outcome.predicted`. */
  line: Line;
  /** weights · (usd, seconds, 1 - quality), in dollars, with the seconds that others lose; the least wins. */
  score: number;
  /**
   * Where time and money go: waiting in the queue, starting or loading (expected), the way there and back; what others wait longer for this request, all together; and
   * dollars for starting or keeping a GPU.
   */
  parts: { queueMs: number; startMs: number; networkMs: number; othersMs: number; startUsd: number };
}

/** Each route as it was expected to do, where it could have been asked at all; the origin is the best of the pools. */
export interface Expectations {
  edge: Expected | null;
  origin: Expected | null;
}

interface Explained {
  /** Most important first. */
  reasons: Reason[];
  expected: Expectations;
  /** The route that would have been next; null when no other could be taken. */
  runnerUp: { route: Route; model: string } | null;
}

/** Where a request goes. */
export type Decision = ChosenEdge | ChosenOrigin | Nowhere;
export type Chosen = ChosenEdge | ChosenOrigin;

export interface ChosenEdge extends Explained {
  route: 'edge';
  model: string;
  /** Hold back so much, and come back with the refusal `low_gate` if it is not enough; null: send as it comes. */
  gate: Gate | null;
  /** The runner-up may be started beside it. */
  race: boolean;
}

export interface ChosenOrigin extends Explained {
  route: 'origin';
  /** The pool's model. */
  model: string;
  /** Only nodes in these regions may be used; null for all. */
  regions: string[] | null;
  race: boolean;
}

export interface Nowhere extends Explained {
  route: 'none';
  status: number;
  code: string;
  /** One sentence for the client. */
  message: string;
  param: string | null;
  /** Seconds after which a retry makes sense; null when it does not. */
  retryAfter: number | null;
}
