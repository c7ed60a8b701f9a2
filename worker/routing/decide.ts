import { floorYields, gateYields } from './bargain.ts';
import { choose } from './choice.ts';
import type { EdgeEstimate, Estimates, OriginEstimate } from './estimates.ts';
import { type EdgeExpected, expectEdge, expectOrigin, gated } from './expectations.ts';
import { nobody, notAllowed, originDown, promptTooLong, refused, refusedByEdge, unknownModel } from './nowhere.ts';
import type { Reason } from './reasons.ts';
import { allowedOrigins, type Open, openRoutes } from './rules.ts';
import type { ChosenEdge, ChosenOrigin, Decision, Expected, Features, Policy } from './types.ts';

/** The model name that leaves the choice to the gateway. */
export const autoModel = 'nearside-auto';

/** No token of the vocabularies in use is longer than this many bytes, so a longer prompt certainly has too many tokens. */
const certainBytesPerToken = 128;

/**
 * Where a request goes, and why. Pure: what happened since the last call (the edge refused, an origin failed) comes back in `estimates`, and a route that has
 * refused or failed is never chosen again. In this order: hard rules (rules.ts), then between what is left capability, time and money (expectations.ts) and the
 * policy's choice (choice.ts).
 */
export function decide(features: Features, estimates: Estimates, policy: Policy): Decision {
  const { edge, origins } = estimates;
  if (features.model === autoModel) return decideAuto(features, estimates, policy);
  const named = origins.find((origin) => origin.model === features.model);
  if (named) return decideOriginOnly(features, named, estimates, policy);
  if (edge && features.model === edge.model) return decideEdgeOnly(features, { ...edge, model: edge.model }, estimates, policy);
  // It may be the name of the edge model, which cannot be asked just now.
  if (edge?.model === null && edge.refusal) return refusedByEdge(features.model, edge.refusal, policy.limits, autoModel);
  return unknownModel(features.model);
}

/** Whether both routes are open, so that the answer's expected quality matters: if not, nobody need ask the learned model. */
export function hasChoice(features: Features, estimates: Estimates, policy: Policy): boolean {
  if (features.model !== autoModel) return false;
  const open = openRoutes(features, estimates, policy);
  return open.edge !== null && open.origins.length > 0;
}

function decideAuto(features: Features, estimates: Estimates, policy: Policy): Decision {
  const open = openRoutes(features, estimates, policy);
  const origin = open.origins.length > 0 ? bestOrigin(features, open.origins, estimates, policy) : null;
  const edge = open.edge ? expectEdge(features, open.edge, estimates.answer, policy) : null;
  if (edge && origin) return decideBetween(features, edge, origin, open, policy);
  if (edge) return takeEdge(features, edge, null, [open.noOrigin ?? 'no_origin']);
  if (origin) return takeOrigin(origin, null, [...open.against, ...doubts(origin, open)], policy);
  return nobody(open, estimates.edge, policy.limits);
}

function decideBetween(features: Features, bare: EdgeExpected, origin: Expected, open: Open, policy: Policy): Decision {
  const given = policy.gate ? (open.edge!.calibration?.gate ?? null) : null;
  const gate = given && gateYields(features, bare, origin, given, policy) ? null : given;
  const edge = gate ? gated(bare, origin, gate, open.edge!.escalationRate, features, policy) : bare;
  const yields = edge.quality < policy.minQuality && floorYields(features, bare, origin, policy);
  const { route, reasons } = choose(features, edge, origin, policy, yields ? 0 : policy.minQuality);
  const [chosen, other] = route === 'edge' ? [edge, origin] : [origin, edge];
  // The other one is worth starting only if it may well be first.
  const race = policy.race && other.ttftMs.p50 < chosen.ttftMs.p95;
  if (route === 'edge') {
    const first: Reason[] = yields ? ['floor_yields'] : [];
    const yielded: Reason[] = given && !gate ? ['gate_yields'] : [];
    return { ...takeEdge(features, edge, origin, [...first, ...reasons, ...yielded]), gate, race };
  }
  return { ...takeOrigin(origin, edge, [...reasons, ...doubts(origin, open)], policy), race };
}

function doubts({ model }: Expected, { origins }: Open): Reason[] {
  return origins.some((origin) => origin.model === model && origin.out) ? ['origin_maybe_down'] : [];
}

/** The pool of the lowest score; the preferred one unless another is clearly better. */
function bestOrigin(features: Features, origins: OriginEstimate[], estimates: Estimates, policy: Policy): Expected {
  let best = expectOrigin(features, origins[0]!, estimates.answer, policy);
  for (let i = 1; i < origins.length; i++) {
    const other = expectOrigin(features, origins[i]!, estimates.answer, policy);
    if (best.score - other.score > policy.hysteresis * best.score) best = other;
  }
  return best;
}

function takeEdge(features: Features, edge: EdgeExpected, origin: Expected | null, reasons: Reason[]): ChosenEdge {
  return {
    route: 'edge',
    model: edge.model,
    reasons: features.maxTokens === null ? [...reasons, 'edge_max_tokens_cap'] : reasons,
    expected: { edge, origin },
    runnerUp: origin && { route: 'origin', model: origin.model },
    gate: null,
    race: false,
  };
}

function takeOrigin(origin: Expected, edge: Expected | null, reasons: Reason[], policy: Policy): ChosenOrigin {
  return {
    route: 'origin',
    model: origin.model,
    regions: policy.residency.originRegions,
    reasons,
    expected: { edge, origin },
    runnerUp: edge && { route: 'edge', model: edge.model },
    race: false,
  };
}

/** The edge model by its name: what it cannot do is refused, never dropped and never sent elsewhere. */
function decideEdgeOnly(features: Features, edge: EdgeEstimate & { model: string }, estimates: Estimates, policy: Policy): Decision {
  const { model } = edge;
  const { limits } = policy;
  if (!policy.residency.edge) return notAllowed(model, 'residency', autoModel);
  if (policy.routes === 'origin') return notAllowed(model, 'origin_only', autoModel);
  const obstacle = features.obstacles[0];
  if (obstacle) {
    const { param, reason } = obstacle;
    const what =
      reason === 'not_text' ? `takes and gives text only, not ${param.replace(/\.type$/, '')}` : `does not support ${param} as given`;
    const message = `The edge model ${model} ${what}; leave it out, or use ${autoModel} or an origin model.`;
    return refused('unsupported_parameter', message, obstacle.param);
  }
  if (features.maxTokens !== null && features.maxTokens > limits.edgeMaxTokens) {
    const message = `The edge model ${model} generates at most ${limits.edgeMaxTokens} tokens here; ask for fewer, or use ${autoModel}.`;
    return refused('max_tokens_too_large', message, features.maxTokensParam);
  }
  if (features.promptBytes > certainBytesPerToken * limits.edgeMaxPromptTokens) return promptTooLong(model, null, limits, autoModel);
  if (edge.refusal) return refusedByEdge(model, edge.refusal, limits, autoModel);
  return takeEdge(features, expectEdge(features, edge, estimates.answer, policy), null, ['edge_model_requested']);
}

function decideOriginOnly(features: Features, origin: OriginEstimate, estimates: Estimates, policy: Policy): Decision {
  if (allowedOrigins([origin], policy).length === 0) {
    return notAllowed(origin.model, policy.routes === 'edge' ? 'edge_only' : 'residency', autoModel);
  }
  if (origin.failure) return originDown(origin.failure, []);
  return takeOrigin(expectOrigin(features, origin, estimates.answer, policy), null, ['origin_model_requested'], policy);
}
