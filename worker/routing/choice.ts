import { type EdgeExpected, secondsOf } from './expectations.ts';
import type { Reason } from './reasons.ts';
import type { Expected, Features, Policy, Route } from './types.ts';

export interface Choice {
  route: Route;
  /** Most important first. */
  reasons: Reason[];
}

/** Part of what decides, or of a route's time or money, from which on it is worth a word. */
const worthAWord = 0.25;

/**
 * Between two routes that may both be taken: capability, the latency target, the policy's preference, and then the lower score.
 * @param minQuality the policy's, or less where that gives way
 */
export function choose(features: Features, edge: EdgeExpected, origin: Expected, policy: Policy, minQuality: number): Choice {
  if (edge.quality < minQuality) {
    const tooLong = edge.quality / edge.fits >= minQuality;
    return { route: 'origin', reasons: [tooLong ? 'no_max_tokens' : 'low_confidence'] };
  }
  const onTime = keepsTarget(edge, origin, policy.maxTtftMs);
  if (onTime) return { route: onTime, reasons: ['latency_target', ...whyBetter(features, edge, origin, onTime, policy)] };
  if (policy.edgeFirst) return { route: 'edge', reasons: ['edge_first'] };

  const better: Route = origin.score < edge.score ? 'origin' : 'edge';
  const before = features.previousRoute;
  const difference = Math.abs(edge.score - origin.score);
  if (before && before !== better && difference <= policy.hysteresis * Math.max(edge.score, origin.score)) {
    return { route: before, reasons: ['hysteresis'] };
  }
  return { route: better, reasons: whyBetter(features, edge, origin, better, policy) };
}

/** The only route that keeps the target, or the one that comes closer where none does; null where the target decides nothing. */
function keepsTarget(edge: Expected, origin: Expected, target: number | null): Route | null {
  if (target === null) return null;
  const [near, far] = [edge.ttftMs.p95, origin.ttftMs.p95];
  if (near <= target && far <= target) return null;
  return near <= far ? 'edge' : 'origin';
}

/** What speaks for the chosen route by what it weighs in the score, and what the other one suffers from. */
function whyBetter(features: Features, edge: Expected, origin: Expected, route: Route, policy: Policy): Reason[] {
  const [chosen, other] = route === 'edge' ? [edge, origin] : [origin, edge];
  const { weights, ttftShare } = policy;
  const seconds = ({ ttftMs, totalMs }: Expected) => secondsOf(ttftMs, totalMs, features.stream, ttftShare);
  const gains: [Reason, number][] = [
    ['cheaper', weights.cost * (other.usd - chosen.usd)],
    ['faster', weights.latency * (seconds(other) - seconds(chosen))],
    ['spares_others', (weights.latency * (other.parts.othersMs - chosen.parts.othersMs)) / 1000],
    ['better_answer', weights.quality * (chosen.quality - other.quality)],
  ];
  const sum = gains.reduce((total, [, gain]) => total + Math.max(0, gain), 0);
  const told = gains.filter(([, gain]) => gain > 0 && gain >= worthAWord * sum).sort((a, b) => b[1] - a[1]);
  const reasons = told.map(([reason]) => reason);
  if (reasons.length === 0) return route === 'edge' ? ['tie'] : [];
  if (reasons.includes('faster')) reasons.push(...whySlow(other, route));
  if (reasons.includes('cheaper') && route === 'edge' && other.parts.startUsd > 0.5 * other.usd) reasons.push('gpu_idle');
  return reasons;
}

function whySlow({ parts, totalMs }: Expected, chosen: Route): Reason[] {
  const matters = (ms: number) => ms > worthAWord * totalMs.mean;
  const reasons: Reason[] = [];
  if (matters(parts.startMs)) reasons.push(chosen === 'edge' ? 'origin_maybe_cold' : 'edge_cold');
  if (matters(parts.queueMs)) reasons.push('queue_long');
  if (chosen === 'edge' && matters(parts.networkMs)) reasons.push('origin_far');
  return reasons;
}
