import type { EdgeEstimate, OriginEstimate } from './estimates.ts';
import type { Line, Spread } from './figures.ts';
import type { Quantiles, Timing } from './types.ts';

/** How long a route is expected to take, milliseconds, and where that goes. */
export interface RouteTiming {
  ttft: Timing;
  total: Timing;
  line: Line;
  /** Waiting in the queue, waiting for a start (expected), and the way there and back; and what others wait longer for this request, all together. */
  parts: { queueMs: number; startMs: number; networkMs: number; othersMs: number };
  /** Milliseconds of the engine or node that this request takes for itself: its share of the turns it is in. */
  busyMs: number;
}

/**
 * What one more sequence adds to the time of a turn, as part of the time of one alone. Reading the weights is shared and most of a turn at batch 1; the products
 * are not. In between for the kernels here: 11 GMAC/s at one sequence, 24 at many, see docs/decisions/0001-own-kernels.md.
 */
const turnGrowth = 0.45;

/**
 * Requests that come before a queue at an origin is empty again, for each that waits there: ρ ÷ (1 - ρ) at a part ρ of the capacity in use, as a queue of n is drained in
 * n·s ÷ (1 - ρ) where each takes s. For ρ = 0.9: a pool with a queue is fuller than the 0.8 at which autoscalers aim.
 */
const behindEachWaiting = 9;

/** The mean of a quantity by its 5th, 50th and 95th percentiles (Pearson and Tukey; Keefer and Bodily 1983), where the 5th mirrors the 95th in the logarithm. */
export function meanOf({ p50, p95 }: Quantiles): number {
  if (p50 <= 0) return 0.185 * p95;
  return 0.63 * p50 + 0.185 * (p95 + (p50 * p50) / Math.max(p50, p95));
}

/** How much longer a turn of so many sequences takes than that of one. */
export function turnFactor(sequences: number): number {
  return 1 + turnGrowth * (Math.max(1, sequences) - 1);
}

/** The edge: queue, loading if it is not warm, the uncached prompt by the prefill rate, the answer by the decode rate at the batch it would join. */
export function edgeTiming(edge: EdgeEstimate, newPromptTokens: number, output: Quantiles): RouteTiming {
  const batch = Math.min(edge.running + 1, edge.slots);
  const prefillMs = (1000 * newPromptTokens) / edge.prefill;
  const tokenMs = (1000 * turnFactor(batch)) / edge.decode;
  const ownMs = prefillMs + output.p50 * tokenMs;
  const ahead = Math.max(0, edge.queued + edge.running + 1 - edge.slots);
  const queueMs = (ahead / edge.slots) * (edge.serviceMs ?? ownMs);
  const before = edge.roundTripMs + queueMs + prefillMs;
  const timing = spreadOut(before, tokenMs, output, edge.ttftSpread, edge.totalSpread, 1 - edge.warmth, edge.loadMs);
  const busyMs = prefillMs + (meanOf(output) * tokenMs) / batch;
  // Turns are shared: whoever is there waits while this one is computed.
  const othersMs = (edge.running + edge.queued) * busyMs;
  return { ...timing, parts: { queueMs, startMs: (1 - edge.warmth) * edge.loadMs, networkMs: edge.roundTripMs, othersMs }, busyMs };
}

/** An origin: the way there, queue, starting if no node is up, time to first token, and the answer by its time per token. */
export function originTiming(origin: OriginEstimate, promptTokens: number, output: Quantiles): RouteTiming {
  const prefillMs = origin.ttftBaseMs + promptTokens * origin.ttftMsPerToken;
  const ownMs = prefillMs + output.p50 * origin.tpotMs;
  const queueMs = (origin.waiting / origin.slots) * (origin.serviceMs ?? ownMs);
  const before = origin.roundTripMs + queueMs + prefillMs;
  const startMs = 1000 * origin.startSeconds;
  const timing = spreadOut(before, origin.tpotMs, output, origin.ttftSpread, origin.totalSpread, 1 - origin.warmth, startMs);
  const busyMs = prefillMs + meanOf(output) * origin.tpotMs;
  const othersMs = (behindEachWaiting * origin.waiting * busyMs) / origin.slots;
  return { ...timing, parts: { queueMs, startMs: (1 - origin.warmth) * startMs, networkMs: origin.roundTripMs, othersMs }, busyMs };
}

/**
 * Quantiles of both times. The answer's length and the error of the prediction are taken to be independent and log-normal, so their logarithmic widths add up
 * as squares. What may have to be waited for besides is added by `withRisk`.
 */
function spreadOut(
  before: number,
  tokenMs: number,
  output: Quantiles,
  ttftSpread: Spread,
  totalSpread: Spread,
  risk: number,
  riskMs: number,
): { ttft: Timing; total: Timing; line: Line } {
  const ttft = before + tokenMs;
  const total = before + output.p50 * tokenMs;
  const longer = Math.log((before + output.p95 * tokenMs) / total);
  const wider = Math.log(totalSpread.p95 / totalSpread.p50);
  const p50 = total * totalSpread.p50;
  return {
    ttft: withRisk({ p50: ttft * ttftSpread.p50, p95: ttft * ttftSpread.p95 }, risk, riskMs),
    total: withRisk({ p50, p95: p50 * Math.exp(Math.hypot(longer, wider)) }, risk, riskMs),
    line: { beforeMs: before, tokenMs },
  };
}

/**
 * Adds a wait that happens with a probability: its expectation to the mean, all of it to each quantile that lies in the part of the cases where it happens, and in
 * proportion near the edge of that part, so that a small change of the probability is a small change of the times.
 */
export function withRisk(time: Quantiles, probability: number, waitMs: number): Timing {
  return {
    p50: time.p50 + waitMs * ramp(probability, 0.25, 0.75),
    p95: time.p95 + waitMs * ramp(probability, 0.025, 0.075),
    mean: meanOf(time) + waitMs * probability,
  };
}

const ramp = (value: number, low: number, high: number): number => Math.min(1, Math.max(0, (value - low) / (high - low)));
