import { ApiError, noRetry } from '../../routes/errors.ts';
import type { ChatCall } from '../../routes/gateway.ts';
import type { ChatRequest } from '../../routes/schema/chat.ts';
import type { Escalations } from '../conversation.ts';
import type { DifficultyOf } from '../difficulty/client.ts';
import type { EdgeStart } from '../edge/call.ts';
import type { EdgeDirectory } from '../edge/directory.ts';
import { extractFeatures } from '../features.ts';
import type { Knowledge } from '../knowledge.ts';
import { type OriginDirectory, type OriginTime, refreshEveryMs } from '../origin/directory.ts';
import { autoModel, decide, hasChoice } from '../routing/decide.ts';
import type { EdgeEstimate, Estimates } from '../routing/estimates.ts';
import { isFree } from '../routing/rules.ts';
import type { Chosen, Failure, Features, Nowhere, Policy, Refusal, Route } from '../routing/types.ts';
import type { Policies } from './policies.ts';

/** One request on its way: features, estimates and decision change as more becomes known and routes refuse. */
export interface Placement {
  request: ChatRequest;
  call: ChatCall;
  policy: Policy;
  features: Features;
  estimates: Estimates;
  chosen: Chosen;
  /** The stored list of origins could not be read: there may be one after all. */
  originsUnread: boolean;
  /** As it was first decided: the pool that could have been asked, and whether either route could, as far as known. */
  first: { pool: string | null; free: boolean };
  /** Some route was asked in vain: times from now on say little about rates. */
  disturbed: boolean;
  /** That of the request at origins, once one has been asked. */
  originTime: OriginTime | null;
  /** The request was counted as traffic of its pool. */
  counted: boolean;
  /** The route that the response's headers name, once it has begun. */
  committed: Route | null;
}

/** Why a route did not answer, and what the next decision goes by. */
export interface Refused {
  error: ApiError;
  /** Of the edge. */
  refusal?: Refusal;
  /** Of pools, by model. */
  failures?: ReadonlyMap<string, Failure>;
  /** The edge may stand in for the model that was asked for. */
  asAuto?: boolean;
}

export interface PlacerSources {
  edge: EdgeDirectory | null;
  origins: OriginDirectory;
  knowledge: Knowledge;
  policies: Policies;
  escalations: Escalations;
  /** Null: the difficulty model is not asked. */
  difficultyOf: DifficultyOf | null;
}

/** Makes decisions: gathers what `decide` goes by, and again when something has changed. Sends nothing anywhere but to the difficulty model. */
export class Placer {
  readonly #sources: PlacerSources;

  constructor(sources: PlacerSources) {
    this.#sources = sources;
  }

  /** Where a request goes first. Throws the `ApiError` that a client gets whose request goes nowhere. */
  async place(request: ChatRequest, call: ChatCall): Promise<Placement> {
    const { edge, origins, knowledge, policies, escalations } = this.#sources;
    const policy = await policies.of(call.caller, call.preferences);
    const plain = extractFeatures(request, knowledge.correction);
    const regions = policy.residency.originRegions;
    const pools = await origins.candidates(plain.model === autoModel ? null : plain.model, request, plain.promptBytes, regions);
    const now = Date.now();
    const asker = { caller: call.caller, kind: plain.kind, regions };
    const estimates = knowledge.estimates(edge && { directory: edge, state: await edge.state() }, pools, asker, now);
    const escalatedEarlier = await escalations.includes(call.caller, request.body.messages);
    const known = { ...plain, escalatedEarlier, previousRoute: knowledge.previousRoute(asker, now) };
    const features = { ...known, difficulty: await this.#difficulty(request, known, estimates, policy) };
    const originsUnread = origins.problem !== null;
    const chosen = choose({ features, estimates, policy, originsUnread });
    const first = { pool: chosen.expected.origin?.model ?? null, free: isFree(features, chosen, policy.limits) };
    const untouched = { disturbed: false, originTime: null, counted: false, committed: null };
    return { request, call, policy, features, estimates, chosen, originsUnread, first, ...untouched };
  }

  /** Asked only where the answer matters. */
  async #difficulty({ body }: ChatRequest, features: Features, estimates: Estimates, policy: Policy): Promise<Features['difficulty']> {
    const { difficultyOf } = this.#sources;
    if (!difficultyOf || !hasChoice(features, estimates, policy)) return null;
    return difficultyOf(body.messages).catch(() => null);
  }

  /**
   * The request was sent on its way: remembered against flapping, and for the conversation's next turn.
   * @returns what of it goes on; null where nothing does
   */
  taken({ chosen, call, features, request }: Placement): Promise<void> | null {
    const { knowledge, escalations } = this.#sources;
    knowledge.decided(chosen, { caller: call.caller, kind: features.kind }, Date.now());
    return isEscalated(chosen) ? escalations.add(call.caller, request.body.messages) : null;
  }
}

/** Another route, where one did not answer. Throws the `ApiError` that is left when there is none. */
export function placeAgain(placement: Placement, { refusal, failures, asAuto }: Refused): void {
  const { edge, answer } = placement.estimates;
  const origins = placement.estimates.origins.map((origin) => ({ ...origin, failure: failures?.get(origin.model) ?? origin.failure }));
  // An answer that was given up for an origin which then fails is better than none.
  const isLast = failures !== undefined && edge?.refusal?.code === 'low_gate' && origins.every((origin) => origin.failure !== null);
  const known = isLast ? null : (refusal ?? edge?.refusal ?? null);
  placement.estimates = { edge: edge && { ...edge, refusal: known }, origins, answer };
  if (asAuto) placement.features = { ...placement.features, model: autoModel };
  placement.disturbed = true;
  placement.chosen = choose(placement);
}

/**
 * Decides again with the prompt's exact length and what of it is cached, when the edge has counted it and before it evaluates anything. The edge has begun: nothing is
 * waited for there any more, and it is kept while the routes are nearly equal.
 * @returns whether the edge is still chosen
 */
export function placeExactly(placement: Placement, { promptTokens, cachedTokens }: EdgeStart): boolean {
  const { features, estimates, chosen } = placement;
  // Without a choice there is nothing to decide.
  if (!chosen.runnerUp || !estimates.edge) return true;
  placement.features = { ...features, promptTokens, cachedTokens, previousRoute: 'edge' };
  placement.estimates = { ...estimates, edge: begun(estimates.edge) };
  placement.chosen = choose(placement);
  return placement.chosen.route === 'edge';
}

function begun(edge: EdgeEstimate): EdgeEstimate {
  return { ...edge, queued: 0, running: Math.min(edge.running, Math.max(0, edge.slots - 1)), warmth: 1 };
}

function choose({
  features,
  estimates,
  policy,
  originsUnread,
}: Pick<Placement, 'features' | 'estimates' | 'policy' | 'originsUnread'>): Chosen {
  const decision = decide(features, estimates, policy);
  if (decision.route !== 'none') return decision;
  const forGood = isForGood(decision);
  throw new ApiError(decision.status, decision.code, decision.message, {
    param: decision.param,
    // The list of origins is read anew then.
    retryAfter: forGood && originsUnread ? refreshEveryMs / 1000 : decision.retryAfter,
    headers: { 'x-nearside-reason': decision.reasons.join(', '), ...(forGood && !originsUnread && noRetry) },
  });
}

/** Nobody here will ever answer it. An origin that says of a failure no time to come back after may well do so later. */
const isForGood = ({ code, retryAfter }: Nowhere): boolean => code === 'no_route' && retryAfter === null;

/** The origin was taken because the edge's answer is not good enough, now or before: that holds for the conversation. */
function isEscalated({ route, reasons }: Chosen): boolean {
  return route === 'origin' && ['low_gate', 'low_confidence', 'escalated_earlier'].some((reason) => reasons.includes(reason as never));
}

/** The model that a route of the decision would be asked for. */
export function modelOf({ route, model, runnerUp }: Chosen, asked: Route): string {
  return route === asked ? model : runnerUp!.model;
}
