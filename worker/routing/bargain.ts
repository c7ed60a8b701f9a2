import { secondsOf } from './expectations.ts';
import { promptTokensOf } from './rules.ts';
import type { Expected, Features, Gate, Policy } from './types.ts';

/**
 * Whether the origin would cost so much that an answer of the edge which is certainly bad would be the better bargain, by the policy's own weights: then its least
 * quality holds nobody back. Never where the operator has set that quality, nor for a prompt that is probably too long for the edge, which would refuse it.
 * @param edge without a gate
 */
export function floorYields(features: Features, edge: Expected, origin: Expected, policy: Policy): boolean {
  if (promptTokensOf(features) > policy.limits.edgeMaxPromptTokens) return false;
  const useless = edge.score + policy.weights.quality * edge.quality;
  return isOutweighed(useless, features, origin, policy);
}

/**
 * The same of the confidence gate, which asks later: by then the edge's first tokens are there, so that a bad answer costs what it is worth to have a good one, and the
 * rest of its time. Wherever the floor yields, the gate does.
 */
export function gateYields(features: Features, edge: Expected, origin: Expected, gate: Gate, policy: Policy): boolean {
  const { ttftMs, totalMs, line } = edge;
  const heldMs = ttftMs.mean + (gate.tokens - 1) * line.tokenMs;
  const rest = { p50: 0, p95: 0, mean: features.stream ? Math.max(0, totalMs.mean - heldMs) : 0 };
  const seconds = secondsOf({ p50: 0, p95: 0, mean: 0 }, rest, features.stream, policy.ttftShare);
  return isOutweighed(policy.weights.quality + policy.weights.latency * seconds, features, origin, policy);
}

/**
 * The origin has to be the worse by as much as is needed to change routes; not so where the edge was taken before, so that neither rule flaps. Of its money only that for
 * starting or keeping a GPU counts: a price per token is what every answer there costs, and no reason to do with a bad one. Of a GPU whose price is only assumed, neither
 * that nor the time of its start does, which is assumed with it.
 */
function isOutweighed(useless: number, { previousRoute }: Features, origin: Expected, policy: Policy): boolean {
  if (!policy.yields) return false;
  const { usd, parts, priced, score } = origin;
  const { weights } = policy;
  const extra = priced
    ? score - weights.cost * (usd - parts.startUsd)
    : score - weights.cost * usd - (weights.latency * parts.startMs) / 1000;
  const margin = previousRoute === 'edge' ? 0 : policy.hysteresis * extra;
  return extra - useless > margin;
}
