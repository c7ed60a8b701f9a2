import type { Gate } from '../../models/capability/gate.ts';
import { capability } from './capability.ts';
import type { EdgeEstimate, OriginEstimate } from './estimates.ts';
import { edgeUsd, originUsd } from './money.ts';
import { promptTokensOf } from './rules.ts';
import { edgeTiming, meanOf, originTiming, withRisk } from './timing.ts';
import type { Expected, Features, Policy, Quantiles, Timing } from './types.ts';

/** What the edge is expected to do with a request, and what of its quality is due to the answer fitting under the edge's limit. */
export interface EdgeExpected extends Expected {
  /** Probability that the answer ends before the edge cuts it off; 1 where the client set the limit, which holds everywhere. */
  fits: number;
}

export function expectEdge(features: Features, edge: EdgeEstimate & { model: string }, answer: Quantiles, policy: Policy): EdgeExpected {
  const promptTokens = promptTokensOf(features);
  const outputTokens = bounded(answer, features.maxTokens ?? policy.limits.edgeMaxTokens);
  // The last token of a prompt is always evaluated.
  const { ttft, total, line, parts, busyMs } = edgeTiming(edge, Math.max(1, promptTokens - features.cachedTokens), outputTokens);
  const { usd, startUsd } = edgeUsd(edge, busyMs);
  const { probability, calibrated } = capability(features, edge.calibration);
  const fits = features.maxTokens === null ? partBelow(answer, policy.limits.edgeMaxTokens) : 1;
  const expected = {
    model: edge.model,
    ttftMs: ttft,
    totalMs: total,
    usd,
    priced: true,
    quality: probability * fits,
    calibrated,
    outputTokens,
    line,
    score: 0,
    parts: { ...parts, startUsd },
    fits,
  };
  expected.score = score(expected, features, policy);
  return expected;
}

export function expectOrigin(features: Features, origin: OriginEstimate, answer: Quantiles, policy: Policy): Expected {
  const promptTokens = promptTokensOf(features);
  const outputTokens = bounded(answer, features.maxTokens ?? Number.POSITIVE_INFINITY);
  const { ttft, total, line, parts, busyMs } = originTiming(origin, promptTokens, outputTokens);
  const { usd, startUsd } = originUsd(origin, promptTokens, meanOf(outputTokens), busyMs);
  const expected = {
    model: origin.model,
    ttftMs: ttft,
    totalMs: total,
    usd,
    priced: !(origin.price.by === 'gpu-hour' && origin.price.assumed),
    quality: origin.quality,
    calibrated: false,
    outputTokens,
    line,
    score: 0,
    parts: { ...parts, startUsd },
  };
  expected.score = score(expected, features, policy);
  return expected;
}

/**
 * What the edge is expected to do when its first tokens are judged: with the probability `rate` it is given up, and the origin's time and money are added; what is
 * kept is no worse than before, but begins when the last of the first tokens is there. The quality that the gate adds is counted as if it picked at random, which is
 * the least it does.
 */
export function gated(
  edge: EdgeExpected,
  origin: Expected,
  { tokens }: Gate,
  rate: number,
  features: Features,
  policy: Policy,
): EdgeExpected {
  const heldMs = (Math.min(tokens, Math.max(1, edge.outputTokens.p50)) - 1) * edge.line.tokenMs;
  const { p50, p95, mean } = edge.ttftMs;
  const expected = {
    ...edge,
    ttftMs: later({ p50: p50 + heldMs, p95: p95 + heldMs, mean: mean + heldMs }, origin.ttftMs, rate),
    totalMs: later(edge.totalMs, origin.totalMs, rate),
    usd: edge.usd + rate * origin.usd,
    quality: edge.quality + rate * Math.max(0, origin.quality - edge.quality),
    parts: { ...edge.parts, othersMs: edge.parts.othersMs + rate * origin.parts.othersMs },
  };
  expected.score = score(expected, features, policy);
  return expected;
}

function later(time: Timing, more: Timing, probability: number): Timing {
  const { p50, p95 } = withRisk(time, probability, more.p50);
  return { p50, p95, mean: time.mean + probability * more.mean };
}

/** Dollars: see `Weights`. What cannot be computed is never chosen over what can. */
function score({ usd, quality, ttftMs, totalMs, parts }: Expected, { stream }: Features, { weights, ttftShare }: Policy): number {
  const seconds = secondsOf(ttftMs, totalMs, stream, ttftShare) + parts.othersMs / 1000;
  const sum = weights.cost * usd + weights.latency * seconds + weights.quality * (1 - quality);
  return Number.isFinite(sum) ? sum : Number.MAX_VALUE;
}

/**
 * The seconds that count. Who reads a stream begins with its first token and reads no faster than it comes, so for a stream it is a mix of both times, by the policy's
 * `ttftShare`; who waits for the whole answer has nothing of its first token. Means, not medians: a start of two minutes in one of thirty requests is worth avoiding.
 */
export function secondsOf(ttftMs: Timing, totalMs: Timing, stream: boolean, ttftShare: number): number {
  const share = stream ? ttftShare : 0;
  return (share * ttftMs.mean + (1 - share) * totalMs.mean) / 1000;
}

function bounded({ p50, p95 }: Quantiles, limit: number): Quantiles {
  const most = Math.max(1, limit);
  return { p50: Math.min(p50, most), p95: Math.min(p95, most) };
}

/** The part of a log-normal distribution below a value; the normal's is approximated by a logistic function, within 0.01. */
export function partBelow({ p50, p95 }: Quantiles, value: number): number {
  const sigma = Math.max(0.05, Math.log(p95 / p50) / 1.645);
  return 1 / (1 + Math.exp((-1.702 * Math.log(value / p50)) / sigma));
}
