import { decide } from '../../worker/routing/decide.ts';
import type { Estimates } from '../../worker/routing/estimates.ts';
import { policyOf } from '../../worker/routing/policies.ts';
import type { Decision, Features, Limits, PolicyName } from '../../worker/routing/types.ts';
import { generator } from '../random.ts';

/** Who decides. Called again with what was learnt when a route has refused or failed. */
export interface Router {
  name: string;
  /** @param index of the request, for those who draw lots */
  decide(features: Features, estimates: Estimates, limits: Limits, index: number): Decision;
}

/** `balanced` where an operator has set its least quality, so that neither that nor the gate gives way. */
export const hardFloor: Router = {
  name: 'balanced, min_quality set',
  decide: (features, estimates, limits) => decide(features, estimates, { ...policyOf('balanced', limits), yields: false }),
};

/** `balanced` without a least quality and without a gate: only the weights decide. */
export const weightsOnly: Router = {
  name: 'balanced, no floor, no gate',
  decide: (features, estimates, limits) => decide(features, estimates, { ...policyOf('balanced', limits), minQuality: 0, gate: false }),
};

/** The product's own policies. */
export const ours = (name: PolicyName): Router => ({
  name,
  decide: (features, estimates, limits) => decide(features, estimates, policyOf(name, limits)),
});

/** Everything to the pool; who finds it down has failed. */
export const allOrigin: Router = { ...ours('origin-only'), name: 'all origin' };

/** Everything to the edge but what its hard limits exclude; who finds its queue full has failed. */
export const allEdge: Router = {
  name: 'all edge',
  decide(features, estimates, limits) {
    const near = decide(features, estimates, policyOf('edge-only', limits));
    const isFull = estimates.edge?.refusal?.code === 'queue_full';
    return near.route === 'edge' || isFull ? near : decide(features, estimates, policyOf('origin-only', limits));
  },
};

export type Measure = 'prompt' | 'prompt + max_tokens';

/** What is at most so long goes to the edge, if that may take it; each route stands in for the other. */
export function threshold(tokens: number, measure: Measure): Router {
  return split(`${measure} ≤ ${tokens}`, ({ estimatedTokens, maxTokens }) => {
    const more = measure === 'prompt' ? 0 : (maxTokens ?? Number.POSITIVE_INFINITY);
    return estimatedTokens! + more <= tokens;
  });
}

/** As many to the edge as `share` says, of those that it may take, drawn by lot. */
export function randomMix(share: number, seed: number): Router {
  return split('random mix', (_, index) => generator(seed * 1_000_003 + index)() < share);
}

/** Each request to the side that `isForEdge` says; the other side stands in where that one refuses or fails. */
export function split(name: string, isForEdge: (features: Features, index: number) => boolean): Router {
  return {
    name,
    decide(features, estimates, limits, index) {
      const [first, second] = isForEdge(features, index)
        ? (['edge-only', 'origin-only'] as const)
        : (['origin-only', 'edge-only'] as const);
      const decision = decide(features, estimates, policyOf(first, limits));
      return decision.route === 'none' ? decide(features, estimates, policyOf(second, limits)) : decision;
    },
  };
}
