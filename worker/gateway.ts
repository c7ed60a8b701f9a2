import { ApiError } from '../routes/errors.ts';
import type { ChatAnswer, ChatBody, ChatCall, Gateway, Health, ModelInfo, Readiness } from '../routes/gateway.ts';
import type { ChatRequest } from '../routes/schema/chat.ts';
import { within } from '../routes/within.ts';
import { authorize } from './access/keys.ts';
import type { Config } from './config.ts';
import { callEdge } from './edge/call.ts';
import type { EdgeDirectory } from './edge/directory.ts';
import { extractFeatures } from './features.ts';
import { health, readiness } from './health.ts';
import { log } from './observe/log.ts';
import { callOrigin } from './origin/call.ts';
import { OriginFailure } from './origin/failure.ts';
import { autoModel, decide } from './routing/decide.ts';
import type { Decision, Features, Limits, RoutingState } from './routing/types.ts';

/** The models' date: that of this API, as no better one is known. Unix time, seconds. */
const created = Date.UTC(2026, 10, 1) / 1000;

type Chosen = Exclude<Decision, { route: 'none' }>;

/** One request on its way: the decision and the state change as routes refuse. */
interface Placement {
  request: ChatRequest;
  features: Features;
  state: RoutingState;
  chosen: Chosen;
  call: ChatCall;
  /** The response has begun with the chosen route in its headers: no other may answer. */
  committed: boolean;
}

/** Features -> decide -> edge or origin, and again with what was learnt when a route refuses. */
export class NearsideGateway implements Gateway {
  readonly #config: Config;
  readonly #edge: EdgeDirectory | null;
  readonly #limits: Limits;

  constructor(config: Config, edge: EdgeDirectory | null) {
    this.#config = config;
    this.#edge = edge;
    this.#limits = { edgeMaxPromptTokens: config.edge.maxPromptTokens, edgeMaxTokens: config.edge.maxTokens };
  }

  authorize(authorization: string | null): Promise<void> {
    return authorize(authorization, this.#config.access);
  }

  async chat(request: ChatRequest, call: ChatCall): Promise<ChatAnswer> {
    const features = extractFeatures(request);
    const state = await this.#state();
    const placement: Placement = { request, features, state, chosen: this.#choose(features, state), call, committed: false };
    const answering = this.#answer(placement);
    if (!request.stream) return answering;

    // A silent stream is begun after a while all the same: only by writing does the runtime notice that a client has left.
    const answer = await within(answering, this.#config.http.commitAfterMs);
    if (answer) return answer;
    placement.committed = true;
    // Nobody may be there any more to hear of a failure.
    answering.catch(() => {});
    return { ...placement.chosen, body: lateBody(placement.chosen.route, answering) };
  }

  /** Asks the chosen route, and the next one while routes refuse and nothing has been sent. */
  async #answer(placement: Placement): Promise<ChatAnswer> {
    for (;;) {
      const { chosen } = placement;
      const outcome = chosen.route === 'edge' ? await this.#askEdge(placement, chosen) : await this.#askOrigin(placement, chosen);
      if (!('refused' in outcome)) return outcome;
      log('route_refused', { id: placement.call.id, route: chosen.route, code: outcome.refused.code });
      if (placement.committed) throw outcome.refused;
      placement.state = outcome.state;
      placement.chosen = this.#choose(placement.features, placement.state);
    }
  }

  async #askEdge({ request, features, state, call }: Placement, chosen: Chosen): Promise<ChatAnswer | Refused> {
    const edge = this.#edge!;
    const outcome = await callEdge(edge.client, { request, features, limits: this.#limits, ...call });
    if (outcome.refusal) {
      const { code, message, retryAfter } = outcome.refusal;
      return {
        refused: new ApiError(503, code, message, { retryAfter }),
        state: { ...state, edge: { ...state.edge!, refusal: outcome.refusal } },
      };
    }
    return {
      ...chosen,
      model: edge.nameOf(outcome.model || chosen.model),
      body: { type: 'events', fingerprint: edge.fingerprint, events: outcome.events },
    };
  }

  async #askOrigin({ request, features, state, call }: Placement, chosen: Chosen): Promise<ChatAnswer | Refused> {
    try {
      const body = await callOrigin(this.#config.origin!, { request, promptBytes: features.promptBytes, ...call });
      return { ...chosen, body };
    } catch (error) {
      if (!(error instanceof OriginFailure)) throw error instanceof ApiError ? saidBy(chosen, error) : error;
      const { status, code, message, retryAfter } = error;
      return { refused: error, state: { ...state, origin: { ...state.origin!, failure: { status, code, message, retryAfter } } } };
    }
  }

  #choose(features: Features, state: RoutingState): Chosen {
    const decision = decide(features, state, this.#limits);
    if (decision.route !== 'none') return decision;
    throw new ApiError(decision.status, decision.code, decision.message, {
      param: decision.param,
      retryAfter: decision.retryAfter,
      headers: { 'x-nearside-reason': decision.reasons.join(', ') },
    });
  }

  async #state(): Promise<RoutingState> {
    const { origin } = this.#config;
    return { edge: this.#edge ? await this.#edge.state() : null, origin: origin && { model: origin.model, failure: null } };
  }

  async models(): Promise<ModelInfo[]> {
    const { edge, origin } = await this.#state();
    const names: [string | null | undefined, string][] = [
      [autoModel, 'nearside'],
      [edge?.model, 'nearside-edge'],
      [origin?.model, 'nearside-origin'],
    ];
    return names.flatMap(([id, ownedBy]) => (id ? [{ id, ownedBy, created }] : []));
  }

  async model(id: string): Promise<ModelInfo | null> {
    return (await this.models()).find((model) => model.id === id) ?? null;
  }

  health(): Promise<Health> {
    return health(this.#config, this.#edge);
  }

  ready(): Promise<Readiness> {
    return readiness(this.#config, this.#edge);
  }
}

/** A route that did not answer, and the state for the next decision. */
interface Refused {
  refused: ApiError;
  state: RoutingState;
}

/** An error that is the origin's answer to this request says so in its headers. */
function saidBy(chosen: Chosen, error: ApiError): ApiError {
  const headers = { ...error.headers, 'x-nearside-route': chosen.route, 'x-nearside-reason': chosen.reasons.join(', ') };
  return new ApiError(error.status, error.code, error.message, { ...error, headers });
}

/** The body of an answer that is not there yet; what goes wrong from here on is thrown into the stream. */
function lateBody(route: 'edge' | 'origin', answering: Promise<ChatAnswer>): ChatBody {
  async function* events<T>(): AsyncGenerator<T> {
    const { body } = await answering;
    if (body.type !== 'json') yield* body.events as AsyncIterable<T>;
  }
  return route === 'edge' ? { type: 'events', fingerprint: null, events: events() } : { type: 'sse', events: events() };
}
