import type { ChatAnswer, ChatCall, Gateway, Health, ModelInfo, Readiness, RouteReport } from '../routes/gateway.ts';
import type { ChatRequest } from '../routes/schema/chat.ts';
import { within } from '../routes/within.ts';
import { authorize } from './access/keys.ts';
import type { Config } from './config.ts';
import { Escalations } from './conversation.ts';
import { type Asked, Asker, headOf, type NotAnswered } from './decision/asking.ts';
import { routeReport } from './decision/explain.ts';
import { type Placement, Placer, placeAgain } from './decision/placement.ts';
import { Policies } from './decision/policies.ts';
import { race } from './decision/race.ts';
import type { DifficultyOf } from './difficulty/client.ts';
import type { EdgeDirectory } from './edge/directory.ts';
import { health, readiness } from './health.ts';
import { Knowledge } from './knowledge.ts';
import { log } from './observe/log.ts';
import { Outcomes } from './observe/outcomes.ts';
import type { OriginDirectory } from './origin/directory.ts';
import { autoModel } from './routing/decide.ts';
import type { Route } from './routing/types.ts';

/** The models' date: that of this API, as no better one is known. Unix time, seconds. */
const created = Date.UTC(2026, 10, 1) / 1000;

/** Probes come every few seconds. Milliseconds. */
const readinessLifetime = 1_000;

export interface GatewayParts {
  config: Config;
  edge: EdgeDirectory | null;
  origins: OriginDirectory;
  /** Null: the difficulty model is not asked. */
  difficultyOf: DifficultyOf | null;
  /** Goes on after the response is complete. */
  background(work: Promise<unknown>): void;
}

/** A request is placed (features, estimates, decide), asked for at the edge, the origin or both, and placed again with what was learnt when a route refuses. */
export class NearsideGateway implements Gateway {
  readonly #parts: GatewayParts;
  readonly #placer: Placer;
  readonly #asker: Asker;
  #found: { at: number; readiness: Readiness } | null = null;

  constructor(parts: GatewayParts) {
    const { config, edge, origins, difficultyOf } = parts;
    const limits = { edgeMaxPromptTokens: config.edge.maxPromptTokens, edgeMaxTokens: config.edge.maxTokens };
    const policies = new Policies({ keyDigests: config.access.keyDigests, ...config.policies, limits });
    const knowledge = new Knowledge(config.edge.price);
    const outcomes = new Outcomes(knowledge);
    this.#parts = parts;
    this.#placer = new Placer({ edge, origins, knowledge, policies, escalations: new Escalations(), difficultyOf });
    this.#asker = new Asker({ config: config.edge, limits, edge, origins, knowledge, outcomes });
  }

  authorize(authorization: string | null): Promise<string> {
    return authorize(authorization, this.#parts.config.access);
  }

  async route(request: ChatRequest, call: ChatCall): Promise<RouteReport> {
    return routeReport(await this.#placer.place(request, call));
  }

  async chat(request: ChatRequest, call: ChatCall): Promise<ChatAnswer> {
    const placement = await this.#placer.place(request, call);
    const answering = this.#answer(placement);
    if (!request.stream) return answering;

    // A silent stream is begun after a while all the same: only by writing does the runtime notice that a client has left.
    const answer = await within(answering, this.#parts.config.http.commitAfterMs);
    if (answer) return answer;
    placement.committed = placement.chosen.route;
    // Nobody may be there any more to hear of a failure.
    answering.catch(() => {});
    return { ...headOf(placement.chosen), body: { type: 'late', answer: answering } };
  }

  /** Asks the chosen route, and the next one while routes refuse and nothing has been sent. */
  async #answer(placement: Placement): Promise<ChatAnswer> {
    for (;;) {
      const { chosen, call } = placement;
      const asked = await (chosen.race ? this.#race(placement) : this.#asker.ask(placement, chosen.route, call.signal));
      if ('answer' in asked) {
        const remembering = this.#placer.taken(placement);
        if (remembering) this.#parts.background(remembering);
        return asked.answer;
      }
      if (asked.refused === 'decided_again') continue;
      const { error } = asked.refused;
      log('route_refused', { id: call.id, route: chosen.route, code: error.code });
      // A stream whose headers name the edge may still go up to the origin, which a comment in it says. One that names the origin never goes down.
      if (placement.committed === 'origin') throw error;
      placeAgain(placement, asked.refused);
    }
  }

  /** Asks both routes at once; the loser is cancelled. */
  async #race(placement: Placement): Promise<Asked> {
    const routes: Route[] = placement.chosen.route === 'edge' ? ['edge', 'origin'] : ['origin', 'edge'];
    const runners = routes.map((route) => (signal: AbortSignal) => this.#asker.ask(placement, route, signal));
    const raced = await race<ChatAnswer, NotAnswered>(runners, placement.call.signal);
    // What spoke for the chosen route does not speak for the other one.
    if ('answer' in raced)
      return { answer: { ...raced.answer, reasons: raced.index === 0 ? [...raced.answer.reasons, 'raced'] : ['raced'] } };
    const refused = raced.refused.filter((one) => one !== 'decided_again');
    return { refused: Object.assign({}, ...refused) };
  }

  async models(): Promise<ModelInfo[]> {
    const { edge, origins } = this.#parts;
    const state = await edge?.state();
    const names: [string | null | undefined, string][] = [
      [autoModel, 'nearside'],
      [state?.model, 'nearside-edge'],
    ];
    for (const pool of await origins.pools()) names.push([pool.config.model, 'nearside-origin']);
    return names.flatMap(([id, ownedBy]) => (id ? [{ id, ownedBy, created }] : []));
  }

  async model(id: string): Promise<ModelInfo | null> {
    return (await this.models()).find((model) => model.id === id) ?? null;
  }

  health(): Promise<Health> {
    return health(this.#parts.config, this.#parts.edge, this.#parts.origins);
  }

  /** Anybody may ask, without a key: what was found out counts for a moment, so that no crowd of them, but for the very first, becomes one at the origins. */
  async ready(): Promise<Readiness> {
    const last = this.#found;
    if (last && Date.now() - last.at < readinessLifetime) return last.readiness;
    // One finds out; who asks meanwhile gets what was known before, as what one request waits for is closed to others.
    if (last) last.at = Date.now();
    const found = await readiness(this.#parts.config, this.#parts.edge, this.#parts.origins);
    this.#found = { at: Date.now(), readiness: found };
    return found;
  }
}
