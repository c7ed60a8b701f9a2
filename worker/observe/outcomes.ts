import type { Placement } from '../decision/placement.ts';
import type { Knowledge } from '../knowledge.ts';
import type { Outcome } from '../routing/figures.ts';
import { edgeUsd, originUsd } from '../routing/money.ts';
import type { Chosen } from '../routing/types.ts';
import { log } from './log.ts';

/** What a route did with a request. Times in milliseconds from when it was asked. */
export type Actual = Pick<
  Outcome,
  | 'route'
  | 'model'
  | 'ttftMs'
  | 'totalMs'
  | 'promptTokens'
  | 'cachedTokens'
  | 'completionTokens'
  | 'end'
  | 'gated'
  | 'undisturbed'
  | 'asleep'
>;

/** The decision log, and what is learnt from it. */
export class Outcomes {
  readonly #knowledge: Knowledge;

  constructor(knowledge: Knowledge) {
    this.#knowledge = knowledge;
  }

  /**
   * Compares what was expected with what happened: writes it down, and learns from it at once, as a timer for later would take far longer.
   * @param chosen the decision that sent the request there, as it may have been changed since
   */
  record(placement: Placement, chosen: Chosen, actual: Actual): void {
    const { call, features, estimates, policy } = placement;
    const expected = chosen.expected[actual.route];
    log('decision', {
      id: call.id,
      route: actual.route,
      model: actual.model,
      policy: policy.name,
      reasons: chosen.reasons.join(', '),
      kind: features.kind,
      end: actual.end,
      promptTokens: actual.promptTokens,
      cachedTokens: actual.cachedTokens,
      completionTokens: actual.completionTokens,
      predictedTtftMs: rounded(expected?.ttftMs.p50),
      ttftMs: rounded(actual.ttftMs),
      predictedTotalMs: rounded(expected?.totalMs.p50),
      totalMs: rounded(actual.totalMs),
      predictedUsd: expected?.usd ?? null,
      usd: spentUsd(estimates, actual),
      quality: expected?.quality ?? null,
      gated: actual.gated,
    });
    // A request with several outcomes (escalated, raced) is one request to its pool.
    const traffic = placement.counted ? { pool: null, free: false } : placement.first;
    placement.counted = true;
    const { caller: key } = call;
    const ttftMs = placement.request.stream ? actual.ttftMs : null;
    const predicted = expected?.line ?? null;
    const regions = policy.residency.originRegions;
    this.#knowledge.learn({ ...actual, ...traffic, regions, at: Date.now(), key, kind: features.kind, ttftMs, predicted });
  }
}

/** By the same prices as the estimate, for the time and the tokens that it really took; null where the route has no estimate. */
function spentUsd(
  { edge, origins }: Placement['estimates'],
  { route, model, totalMs, promptTokens, completionTokens }: Actual,
): number | null {
  if (route === 'edge') return edge && edgeUsd({ ...edge, warmth: 1 }, totalMs).usd;
  const origin = origins.find((one) => one.model === model);
  return origin ? originUsd(origin, promptTokens, completionTokens, totalMs).usd : null;
}

const rounded = (ms: number | null | undefined): number | null => (ms == null ? null : Math.round(ms));
