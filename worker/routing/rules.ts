import type { EdgeEstimate, Estimates, OriginEstimate } from './estimates.ts';
import type { Reason } from './reasons.ts';
import type { Decision, Failure, Features, Limits, Policy } from './types.ts';

/**
 * A prompt of more bytes per allowed token than this goes to the origin without asking the edge for its exact length. Text has 3 to 4 bytes a token; a prompt
 * this much denser would be one long run of spaces, and loses nothing at the origin.
 */
const obviousBytesPerToken = 16;

/** The routes that may be taken for a request, and why the others may not. */
export interface Open {
  /** Null: the edge may not, see `against`. */
  edge: (EdgeEstimate & { model: string }) | null;
  /** Why the edge may not take it, most important first. */
  against: Reason[];
  origins: OriginEstimate[];
  /** Why no origin may take it; null where one may. */
  noOrigin: Reason | null;
  /** What the first origin that was asked said, where policy allowed it. */
  failure: Failure | null;
}

/** The hard rules, for a request that leaves the choice to the gateway. */
export function openRoutes(features: Features, estimates: Estimates, policy: Policy): Open {
  const allowed = allowedOrigins(estimates.origins, policy);
  const untried = allowed.filter((origin) => origin.failure === null);
  const there = preferred(
    untried.filter((origin) => !origin.hanging),
    ({ out }) => !out,
  );
  const failure = allowed.find((origin) => origin.failure)?.failure ?? null;
  const against = reasonsAgainstEdge(features, estimates.edge, policy, allowed.length > 0);
  const { model = null } = estimates.edge ?? {};
  const edge = against.length === 0 && estimates.edge && model !== null ? { ...estimates.edge, model } : null;
  // Where a timeout would probably have to be waited for, nobody is asked but as the last resort: it may be back.
  const origins = edge || there.length > 0 ? there : untried;
  return {
    edge,
    against,
    origins: thatHold(origins, features),
    noOrigin: origins.length > 0 ? null : reasonAgainstOrigins(estimates.origins, allowed, policy, failure),
    failure,
  };
}

/** Those that are so; all, where none is. */
function preferred<T>(all: T[], isSo: (one: T) => boolean): T[] {
  const some = all.filter(isSo);
  return some.length > 0 ? some : all;
}

function reasonsAgainstEdge(features: Features, edge: EdgeEstimate | null, policy: Policy, hasOrigin: boolean): Reason[] {
  if (!edge) return ['no_edge'];
  const reasons = new Set<Reason>();
  if (!policy.residency.edge) reasons.add('residency');
  if (policy.routes === 'origin') reasons.add('origin_only');
  for (const { reason } of features.obstacles) reasons.add(reason);
  if (features.toolHistory) reasons.add('tools');
  if (features.thinking) reasons.add('thinking');
  if (features.maxTokens !== null && features.maxTokens > policy.limits.edgeMaxTokens) reasons.add('max_tokens');
  if (isTooLong(features, edge, policy.limits)) reasons.add('prompt_too_long');
  // Where there is nothing above, nothing can have been escalated.
  if (features.escalatedEarlier && hasOrigin) reasons.add('escalated_earlier');
  if (edge.refusal) reasons.add(edge.refusal.code);
  return [...reasons];
}

function isTooLong({ promptBytes, promptTokens, maxTokens }: Features, edge: EdgeEstimate, limits: Limits): boolean {
  if (promptTokens === null) return promptBytes > obviousBytesPerToken * limits.edgeMaxPromptTokens;
  const room = (edge.contextTokens ?? Number.POSITIVE_INFINITY) - (maxTokens ?? 1);
  return promptTokens > Math.min(limits.edgeMaxPromptTokens, room);
}

/**
 * Whether a request counts as one that either route may answer, for `Outcome.free`: its prompt is short enough for the edge as far as can be told, though nobody has counted it.
 */
export function isFree(features: Features, { runnerUp }: Pick<Decision, 'runnerUp'>, { edgeMaxPromptTokens }: Limits): boolean {
  return runnerUp !== null && promptTokensOf(features) <= edgeMaxPromptTokens;
}

/** The pools that policy and residency allow, whether they are up or not. */
export function allowedOrigins(origins: OriginEstimate[], { routes, residency }: Policy): OriginEstimate[] {
  if (routes === 'edge') return [];
  const { originRegions } = residency;
  if (originRegions === null) return origins;
  return origins.filter(({ regions }) => regions.some((region) => region !== null && originRegions.includes(region)));
}

function reasonAgainstOrigins(origins: OriginEstimate[], allowed: OriginEstimate[], policy: Policy, failure: Failure | null): Reason {
  if (origins.length === 0) return 'no_origin';
  if (policy.routes === 'edge') return 'edge_only';
  if (failure) return downReason(failure);
  return allowed.length > 0 ? 'origin_unavailable' : 'residency';
}

/** An origin that is being started is told apart from one that is down: it is worth coming back to. */
export function downReason(failure: Failure): Reason {
  return failure.code === 'origin_cold' ? 'origin_cold' : 'origin_unavailable';
}

/** Those whose context is long enough by what is known; all, if none is: they will say so themselves. */
function thatHold(origins: OriginEstimate[], features: Features): OriginEstimate[] {
  if (origins.length < 2) return origins;
  const tokens = promptTokensOf(features) + (features.maxTokens ?? 0);
  return preferred(origins, ({ contextTokens }) => (contextTokens ?? Number.POSITIVE_INFINITY) >= tokens);
}

/** As counted, else as estimated, else four bytes a token. */
export function promptTokensOf({ promptTokens, estimatedTokens, promptBytes }: Features): number {
  return promptTokens ?? estimatedTokens ?? Math.max(1, promptBytes / 4);
}
