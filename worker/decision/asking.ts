import { ApiError } from '../../routes/errors.ts';
import type { ChatAnswer, ChatRoute } from '../../routes/gateway.ts';
import type { Config } from '../config.ts';
import { callEdge, type EdgeCall } from '../edge/call.ts';
import type { EdgeDirectory } from '../edge/directory.ts';
import type { EdgeAnswered } from '../edge/tally.ts';
import type { Knowledge } from '../knowledge.ts';
import type { Actual, Outcomes } from '../observe/outcomes.ts';
import { ChainFailure, type OriginDirectory } from '../origin/directory.ts';
import type { TokenCounts } from '../origin/usage.ts';
import { wasAsleep } from '../routing/learning.ts';
import type { Chosen, Limits, Route } from '../routing/types.ts';
import { estimateHeader } from './explain.ts';
import { modelOf, type Placement, placeExactly, type Refused } from './placement.ts';
import type { Run } from './race.ts';

/** A queue as short as that is none, milliseconds. */
const noWait = 10;

/** A route did not answer: it has refused, or the edge has counted the prompt and is not wanted any more. */
export type NotAnswered = Refused | 'decided_again';
export type Asked = Run<ChatAnswer, NotAnswered>;

export interface AskerParts {
  config: Config['edge'];
  limits: Limits;
  edge: EdgeDirectory | null;
  origins: OriginDirectory;
  knowledge: Knowledge;
  outcomes: Outcomes;
}

/** Asks a route, and has what comes of it written down. */
export class Asker {
  readonly #parts: AskerParts;

  constructor(parts: AskerParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when a stream's first token may be sent, or when the whole answer is there. Throws what the request itself is at fault for, and the signal's reason.
   * @param signal ends this, and follows the client's
   */
  ask(placement: Placement, route: Route, signal: AbortSignal): Promise<Asked> {
    return route === 'edge' ? this.#askEdge(placement, signal) : this.#askOrigin(placement, signal);
  }

  async #askEdge(placement: Placement, signal: AbortSignal): Promise<Asked> {
    const edge = this.#parts.edge!;
    const outcome = await callEdge(edge.client, this.#edgeCall(edge, placement, signal));
    if (outcome.outcome === 'left') return { refused: 'decided_again' };
    if (outcome.outcome === 'refused') {
      const { refusal } = outcome;
      return { refused: { error: new ApiError(503, refusal.code, refusal.message, { retryAfter: refusal.retryAfter }), refusal } };
    }
    const body = { type: 'events', fingerprint: edge.fingerprint, events: outcome.events } as const;
    return { answer: { ...headOf(placement.chosen), route: 'edge', model: edge.nameOf(outcome.model), body } };
  }

  #edgeCall(edge: EdgeDirectory, placement: Placement, signal: AbortSignal): EdgeCall {
    const { config, limits, knowledge, outcomes } = this.#parts;
    const { request, features, call, chosen } = placement;
    const gate = chosen.route === 'edge' ? chosen.gate : null;
    const undisturbed = !placement.disturbed;
    const scopes = { key: call.caller, shared: 'everyone', off: null };
    return {
      request,
      features,
      limits,
      cacheScope: scopes[config.prefixCache],
      id: call.id,
      signal,
      gate,
      saw: (figures) => edge.saw(figures),
      goesOn(start) {
        knowledge.counted(features.estimatedTokens, start.promptTokens);
        return chosen.race || placeExactly(placement, start);
      },
      ended(went: EdgeAnswered) {
        // By now the decision may be another one: that for the edge was the one made with the exact count, or this.
        const decided = placement.chosen.route === 'edge' ? placement.chosen : chosen;
        const actual = { ...went, route: 'edge', model: modelOf(decided, 'edge'), gated: gate !== null, asleep: null } as const;
        outcomes.record(placement, decided, { ...actual, undisturbed: went.undisturbed && undisturbed });
      },
    };
  }

  async #askOrigin(placement: Placement, signal: AbortSignal): Promise<Asked> {
    const { request, call, chosen, policy, features } = placement;
    const { promptBytes, thinking } = features;
    const watch = watchOrigin(placement, signal, this.#parts.outcomes);
    const asked = { request, promptBytes, thinking, id: call.id, signal, regions: policy.residency.originRegions, onEnd: watch.onEnd };
    try {
      placement.originTime ??= { since: Date.now(), ms: 0 };
      const { body, model, notes } = await this.#parts.origins.answer(modelOf(chosen, 'origin'), asked, placement.originTime);
      watch.answered(model, notes);
      return { answer: { ...headOf(chosen), route: 'origin', model, reasons: [...chosen.reasons, ...notes], body } };
    } catch (error) {
      if (error instanceof ChainFailure) return { refused: { error: error.last, failures: error.byModel, asAuto: error.edge } };
      throw error instanceof ApiError ? saidBy(chosen, error) : error;
    }
  }
}

/** Who answers by the decision, as it stands in the headers. */
export function headOf(chosen: Chosen): ChatRoute {
  return { route: chosen.route, model: chosen.model, reasons: chosen.reasons, estimate: estimateHeader(chosen) };
}

/** An error that is the origin's answer to this request says so in its headers. */
function saidBy({ reasons }: Chosen, error: ApiError): ApiError {
  const headers = { ...error.headers, 'x-nearside-route': 'origin', 'x-nearside-reason': reasons.join(', ') };
  return new ApiError(error.status, error.code, error.message, { ...error, headers });
}

/** Puts together what an origin's answer took: who answers is known when it begins, what was used when it ends; without a stream that is the other way round. */
function watchOrigin(placement: Placement, signal: AbortSignal, outcomes: Outcomes) {
  const { request, chosen, features } = placement;
  const disturbed = placement.disturbed || (chosen.expected.origin?.parts.queueMs ?? 0) > noWait;
  const startedAt = Date.now();
  let head: { model: string; ttftMs: number | null; undisturbed: boolean; noted: boolean } | null = null;
  let end: { counts: TokenCounts; complete: boolean; totalMs: number } | null = null;
  const record = () => {
    if (!head || !end) return;
    const { promptTokens, completionTokens } = end.counts;
    const whole = (completionTokens ?? 0) >= (features.maxTokens ?? Number.POSITIVE_INFINITY) ? 'length' : 'stop';
    const ended = end.complete ? whole : signal.aborted ? 'cancelled' : 'failed';
    const counts = { promptTokens, completionTokens: completionTokens ?? 0, cachedTokens: 0 };
    const { noted, ...known } = head;
    const actual = { ...known, ...counts, totalMs: end.totalMs };
    const asleep = end.complete && !noted ? wasAsleepAt(placement, chosen, actual) : null;
    outcomes.record(placement, chosen, { ...actual, route: 'origin', end: ended, gated: false, asleep });
  };
  return {
    answered(model: string, notes: string[]) {
      const ms = Date.now() - startedAt;
      // Some platforms hold a request while a node is started.
      const started = placement.estimates.origins.some((one) => one.model === model && one.startSeconds > 0 && ms > 500 * one.startSeconds);
      head = {
        model,
        ttftMs: request.stream ? ms : null,
        undisturbed: notes.length === 0 && !disturbed && !started,
        noted: notes.length > 0,
      };
      record();
    },
    onEnd(counts: TokenCounts, complete: boolean) {
      // A stream that ends before there is an answer was an attempt that others have followed.
      if (request.stream && !head) return;
      end = { counts, complete, totalMs: Date.now() - startedAt };
      record();
    },
  };
}

/** Null where it was not the model that had been expected to answer. */
function wasAsleepAt(
  { estimates }: Placement,
  { expected }: Chosen,
  actual: Pick<Actual, 'model' | 'ttftMs' | 'totalMs' | 'completionTokens'>,
) {
  const origin = estimates.origins.find(({ model }) => model === actual.model);
  if (!origin || expected.origin?.model !== actual.model) return null;
  return wasAsleep(origin, expected.origin.line, actual);
}
