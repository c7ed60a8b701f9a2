import { ApiError } from '../routes/errors.ts';
import type { ChatAnswer, ChatBody, ChatCall, ChatEvent, Gateway, Health, ModelInfo, Readiness, SseBytes } from '../routes/gateway.ts';
import type { ChatRequest } from '../routes/schema/chat.ts';
import { within } from '../routes/within.ts';
import { authorize } from './access/keys.ts';
import type { Config } from './config.ts';
import { callEdge } from './edge/call.ts';
import type { EdgeDirectory } from './edge/directory.ts';
import { extractFeatures } from './features.ts';
import { health, readiness } from './health.ts';
import { log } from './observe/log.ts';
import type { Chain, OriginDirectory } from './origin/directory.ts';
import { OriginFailure } from './origin/failure.ts';
import { autoModel, decide } from './routing/decide.ts';
import { answerPrior, estimateEdge, estimateOrigin } from './routing/estimate.ts';
import type { EdgeState, Estimates } from './routing/estimates.ts';
import { policyOf } from './routing/policies.ts';
import { edgePrices, originPriceOf } from './routing/prices.ts';
import type { Chosen, Features, Limits } from './routing/types.ts';

/** The models' date: that of this API, as no better one is known. Unix time, seconds. */
const created = Date.UTC(2026, 10, 1) / 1000;

/** One request on its way: the decision and the estimates change as routes refuse. */
interface Placement {
  request: ChatRequest;
  features: Features;
  estimates: Estimates;
  /** The pools that the origin route consists of. */
  chain: Chain;
  chosen: Chosen;
  call: ChatCall;
  /** The response has begun with the chosen route in its headers: no other may answer. */
  committed: boolean;
}

/** Features -> decide -> edge or origin, and again with what was learnt when a route refuses. */
export class NearsideGateway implements Gateway {
  readonly #config: Config;
  readonly #edge: EdgeDirectory | null;
  readonly #origins: OriginDirectory;
  readonly #limits: Limits;

  constructor(config: Config, edge: EdgeDirectory | null, origins: OriginDirectory) {
    this.#config = config;
    this.#edge = edge;
    this.#origins = origins;
    this.#limits = { edgeMaxPromptTokens: config.edge.maxPromptTokens, edgeMaxTokens: config.edge.maxTokens };
  }

  authorize(authorization: string | null): Promise<string> {
    return authorize(authorization, this.#config.access);
  }

  async chat(request: ChatRequest, call: ChatCall): Promise<ChatAnswer> {
    const features = extractFeatures(request);
    const named = features.model === autoModel ? null : features.model;
    const chain = await this.#origins.chain(named, request, features.promptBytes);
    const estimates = estimatesOf(this.#edge ? await this.#edge.state() : null, chain);
    const placement: Placement = { request, features, estimates, chain, chosen: this.#choose(features, estimates), call, committed: false };
    const answering = this.#answer(placement);
    if (!request.stream) return answering;

    // A silent stream is begun after a while all the same: only by writing does the runtime notice that a client has left.
    const answer = await within(answering, this.#config.http.commitAfterMs);
    if (answer) return answer;
    placement.committed = true;
    // Nobody may be there any more to hear of a failure.
    answering.catch(() => {});
    return { ...placement.chosen, body: lateBody(placement.chosen, answering) };
  }

  /** Asks the chosen route, and the next one while routes refuse and nothing has been sent. */
  async #answer(placement: Placement): Promise<ChatAnswer> {
    for (;;) {
      const { chosen } = placement;
      const outcome = chosen.route === 'edge' ? await this.#askEdge(placement, chosen) : await this.#askOrigin(placement, chosen);
      if (!('refused' in outcome)) return outcome;
      log('route_refused', { id: placement.call.id, route: chosen.route, code: outcome.refused.code });
      if (placement.committed) throw outcome.refused;
      placement.estimates = outcome.estimates;
      placement.features = outcome.features ?? placement.features;
      placement.chosen = this.#choose(placement.features, placement.estimates);
    }
  }

  async #askEdge({ request, features, estimates, call }: Placement, chosen: Chosen): Promise<ChatAnswer | Refused> {
    const edge = this.#edge!;
    const scopes = { key: call.caller, shared: 'everyone', off: null };
    const cacheScope = scopes[this.#config.edge.prefixCache];
    const outcome = await callEdge(edge.client, { request, features, limits: this.#limits, cacheScope, ...call });
    if (outcome.refusal) {
      const { code, message, retryAfter } = outcome.refusal;
      return {
        refused: new ApiError(503, code, message, { retryAfter }),
        estimates: { ...estimates, edge: { ...estimates.edge!, refusal: outcome.refusal } },
      };
    }
    return {
      ...chosen,
      model: edge.nameOf(outcome.model || chosen.model),
      body: { type: 'events', fingerprint: edge.fingerprint, events: outcome.events },
    };
  }

  async #askOrigin({ request, features, estimates, chain, call }: Placement, chosen: Chosen): Promise<ChatAnswer | Refused> {
    try {
      const { promptBytes, thinking } = features;
      const { body, model, notes } = await this.#origins.answer(chain, { request, promptBytes, thinking, ...call });
      return { ...chosen, model, reasons: [...chosen.reasons, ...notes], body };
    } catch (error) {
      if (!(error instanceof OriginFailure)) throw error instanceof ApiError ? saidBy(chosen, error) : error;
      const { status, code, message, retryAfter } = error;
      return {
        refused: error,
        estimates: {
          ...estimates,
          origins: estimates.origins.map((origin) => ({ ...origin, failure: { status, code, message, retryAfter } })),
        },
        // A pool may name the edge as its stand-in; whether the edge can is decided as for everyone.
        features: chain.edge ? { ...features, model: autoModel } : features,
      };
    }
  }

  #choose(features: Features, estimates: Estimates): Chosen {
    const decision = decide(features, estimates, policyOf('balanced', this.#limits));
    if (decision.route !== 'none') return decision;
    throw new ApiError(decision.status, decision.code, decision.message, {
      param: decision.param,
      retryAfter: decision.retryAfter,
      headers: { 'x-nearside-reason': decision.reasons.join(', ') },
    });
  }

  async models(): Promise<ModelInfo[]> {
    const edge = await this.#edge?.state();
    const names: [string | null | undefined, string][] = [
      [autoModel, 'nearside'],
      [edge?.model, 'nearside-edge'],
    ];
    for (const pool of await this.#origins.pools()) names.push([pool.config.model, 'nearside-origin']);
    return names.flatMap(([id, ownedBy]) => (id ? [{ id, ownedBy, created }] : []));
  }

  async model(id: string): Promise<ModelInfo | null> {
    return (await this.models()).find((model) => model.id === id) ?? null;
  }

  health(): Promise<Health> {
    return health(this.#config, this.#edge, this.#origins);
  }

  ready(): Promise<Readiness> {
    return readiness(this.#config, this.#edge, this.#origins);
  }
}

/** A route that did not answer, and what the next decision goes by. */
interface Refused {
  refused: ApiError;
  estimates: Estimates;
  features?: Features;
}

/** What is assumed of the routes while nothing of them is measured here. */
function estimatesOf(state: EdgeState | null, chain: Chain): Estimates {
  const edge = state && estimateEdge(state, { price: edgePrices['durable-object'], contextTokens: null, calibration: null }, null, 0);
  const origins = chain.pools.slice(0, 1).map(({ config: { model, endpoints } }) => {
    const regions = endpoints.map(({ region }) => region);
    const price = originPriceOf(endpoints[0]?.price ?? null);
    return estimateOrigin({ model, failure: null }, { price, contextTokens: null, regions, quality: 1 }, null, 0);
  });
  return { edge, origins, answer: answerPrior };
}

/** An error that is the origin's answer to this request says so in its headers. */
function saidBy(chosen: Chosen, error: ApiError): ApiError {
  const headers = { ...error.headers, 'x-nearside-route': chosen.route, 'x-nearside-reason': chosen.reasons.join(', ') };
  return new ApiError(error.status, error.code, error.message, { ...error, headers });
}

/** The body of an answer that is not there yet; what goes wrong from here on is thrown into the stream. A model other than the header's is told in a comment. */
function lateBody(chosen: Chosen, answering: Promise<ChatAnswer>): ChatBody {
  async function* chatEvents(): AsyncGenerator<ChatEvent> {
    const { body } = await answering;
    if (body.type === 'events') yield* body.events;
  }
  async function* sseEvents(): AsyncGenerator<SseBytes> {
    const { body, model, reasons } = await answering;
    if (model !== chosen.model) yield { type: 'bytes', bytes: new TextEncoder().encode(`: ${model}: ${reasons.join(', ')}\n\n`) };
    if (body.type === 'sse') yield* body.events;
  }
  return chosen.route === 'edge' ? { type: 'events', fingerprint: null, events: chatEvents() } : { type: 'sse', events: sseEvents() };
}
