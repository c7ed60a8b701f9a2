import type { Limits, Policy, PolicyName, Residency } from './types.ts';

type Settings = Omit<Policy, 'maxTtftMs' | 'residency' | 'limits'>;

/**
 * What the defaults are made of, in dollars, as the score adds up dollars.
 *
 * A second of waiting: $1e-4, which is 36 cents an hour; most callers are programs, and a request of 500 + 200 tokens at a hosted 9B model costs about $1e-4, so
 * the default pays for a second what the request itself costs. An answer that is not good enough: $5e-4, which is what asking a much larger model once more
 * costs. `latency` and `cost` weigh a second ten times as much and a tenth as much.
 */
const balanced: Settings = {
  name: 'balanced',
  weights: { cost: 1, latency: 1e-4, quality: 5e-4 },
  minQuality: 0.6,
  yields: true,
  ttftShare: 0.5,
  hysteresis: 0.1,
  routes: 'both',
  edgeFirst: false,
  gate: true,
  race: false,
};

export const policies: Record<PolicyName, Settings> = {
  balanced,
  latency: { ...balanced, name: 'latency', weights: { cost: 1, latency: 1e-3, quality: 5e-4 }, gate: false, race: true },
  cost: { ...balanced, name: 'cost', weights: { cost: 1, latency: 1e-5, quality: 1e-4 }, minQuality: 0.5 },
  'edge-only': { ...balanced, name: 'edge-only', minQuality: 0, routes: 'edge', gate: false },
  'origin-only': { ...balanced, name: 'origin-only', routes: 'origin', gate: false },
  'edge-first': { ...balanced, name: 'edge-first', minQuality: 0.5, edgeFirst: true },
};

/** No limit to where data may go. */
export const anywhere: Residency = { edge: true, originRegions: null };

/** Both rules at once: a request may narrow what its key allows, never widen it. */
export function narrower(a: Residency, b: Residency): Residency {
  const [x, y] = [a.originRegions, b.originRegions];
  return { edge: a.edge && b.edge, originRegions: x && y ? x.filter((region) => y.includes(region)) : (x ?? y) };
}

export function isPolicyName(name: string): name is PolicyName {
  return Object.hasOwn(policies, name);
}

/** The policy of that name for a request. */
export function policyOf(name: PolicyName, limits: Limits, request: { maxTtftMs?: number | null; residency?: Residency } = {}): Policy {
  return { ...policies[name], limits, maxTtftMs: request.maxTtftMs ?? null, residency: request.residency ?? anywhere };
}
