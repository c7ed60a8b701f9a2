import type { EdgeState, OriginState } from './estimates.ts';
import type { Failure, Features, Limits, Refusal } from './types.ts';

/** What is known of the two routes while a request is being placed. */
export interface RoutingState {
  /** Null: this gateway has no edge model. */
  edge: EdgeState | null;
  /** Null: this gateway has no origin. */
  origin: OriginState | null;
}

type Decision =
  | { route: 'edge'; model: string; reasons: string[] }
  | { route: 'origin'; model: string; reasons: string[] }
  | {
      route: 'none';
      status: number;
      code: string;
      message: string;
      param: string | null;
      reasons: string[];
      retryAfter: number | null;
    };

export type { Decision as PlainDecision };

/** The model name that leaves the choice to the gateway. */
export const autoModel = 'nearside-auto';

/**
 * A prompt of more bytes per allowed token than this goes to the origin without asking the edge for its exact length. Text has 3 to 4 bytes a token; a prompt
 * this much denser would be one long run of spaces, and loses nothing at the origin.
 */
const obviousBytesPerToken = 16;

/** No token of the vocabularies in use is longer than this many bytes, so a longer prompt certainly has too many tokens. */
const certainBytesPerToken = 128;

const retryAfterDefault = 10;

/**
 * Every routing rule, in order. Pure: what happened since the last call (the edge refused, the origin failed) comes back in as `state`, and a route that has
 * refused or failed is never chosen again.
 */
export function decide(features: Features, state: RoutingState, limits: Limits): Decision {
  if (features.model === autoModel) return decideAuto(features, state, limits);
  if (state.origin && features.model === state.origin.model) return decideOriginOnly(state.origin);
  if (state.edge && features.model === state.edge.model) return decideEdgeOnly(features, state.edge, features.model, limits);
  // It may be the name of the edge model, which cannot be asked just now.
  if (state.edge?.model === null && state.edge.refusal) return refusedByEdge(features.model, state.edge.refusal, limits);
  const message = `The model '${features.model}' does not exist; GET /v1/models lists those offered.`;
  return { route: 'none', status: 404, code: 'model_not_found', message, param: 'model', reasons: ['model_not_found'], retryAfter: null };
}

/** `nearside-auto`: the edge for what is small and plain, the origin for the rest; and the edge again when the origin is missing or down. */
function decideAuto(features: Features, state: RoutingState, limits: Limits): Decision {
  const against = reasonsAgainstEdge(features, state.edge, limits);
  const origin = state.origin?.failure ? null : state.origin;
  const edgeModel = state.edge?.model ?? null;

  if (edgeModel !== null && against.length === 0) {
    // Without a limit the answer may be long: that is for the origin while there is one.
    if (features.maxTokens === null && origin) return { route: 'origin', model: origin.model, reasons: ['no_max_tokens'] };
    const reasons = [state.origin === null ? 'no_origin' : state.origin.failure ? downReason(state.origin.failure) : 'small_text'];
    if (features.maxTokens === null) reasons.push('edge_max_tokens_cap');
    return { route: 'edge', model: edgeModel, reasons };
  }
  if (origin) return { route: 'origin', model: origin.model, reasons: against };
  return nobody(state, against, limits);
}

/** Why the edge may not take a request under `nearside-auto`; empty when it may. */
function reasonsAgainstEdge(features: Features, edge: EdgeState | null, limits: Limits): string[] {
  if (!edge) return ['no_edge'];
  const reasons = new Set<string>(features.obstacles.map((obstacle) => obstacle.reason));
  if (features.toolHistory) reasons.add('tools');
  if (features.thinking) reasons.add('thinking');
  if (features.maxTokens !== null && features.maxTokens > limits.edgeMaxTokens) reasons.add('max_tokens');
  if (features.promptBytes > obviousBytesPerToken * limits.edgeMaxPromptTokens) reasons.add('prompt_too_long');
  if (edge.refusal) reasons.add(edge.refusal.code);
  return [...reasons];
}

/** Neither route can answer: the origin's failure is the more telling one, as it could have answered anything. */
function nobody(state: RoutingState, against: string[], limits: Limits): Decision {
  const failure = state.origin?.failure;
  if (failure) {
    const { status, code, message, retryAfter } = failure;
    const retry = retryAfter ?? (status === 503 ? retryAfterDefault : null);
    return { route: 'none', status, code, message, param: null, reasons: [downReason(failure), ...against], retryAfter: retry };
  }
  const refusal = state.edge?.refusal;
  if (refusal?.code === 'bad_request') return badRequest(refusal.message);
  return {
    route: 'none',
    status: 503,
    code: 'no_route',
    message: `No route can answer this request: the edge model does not take it (${against.map((reason) => explain(reason, limits)).join(', ')}) and no origin is configured (NEARSIDE_ORIGIN_URL).`,
    param: null,
    reasons: ['no_origin', ...against],
    retryAfter: refusal?.retryAfter ?? retryAfterDefault,
  };
}

function explain(reason: string, limits: Limits): string {
  if (reason === 'max_tokens') return `max_tokens: it answers with at most ${limits.edgeMaxTokens}`;
  if (reason === 'prompt_too_long') return `prompt_too_long: it takes at most ${limits.edgeMaxPromptTokens} tokens`;
  return reason;
}

/** The edge model by its name: what it cannot do is refused, never dropped and never sent elsewhere. */
function decideEdgeOnly(features: Features, edge: EdgeState, model: string, limits: Limits): Decision {
  const obstacle = features.obstacles[0];
  if (obstacle) {
    const message = `The edge model ${model} does not support ${obstacle.param} as given; leave it out, or use ${autoModel} or an origin model.`;
    return refuse(400, 'unsupported_parameter', message, obstacle.param);
  }
  if (features.maxTokens !== null && features.maxTokens > limits.edgeMaxTokens) {
    const message = `The edge model ${model} generates at most ${limits.edgeMaxTokens} tokens here; ask for fewer, or use ${autoModel}.`;
    return refuse(400, 'max_tokens_too_large', message, features.maxTokensParam);
  }
  if (features.promptBytes > certainBytesPerToken * limits.edgeMaxPromptTokens) return promptTooLong(model, null, limits);
  if (edge.refusal) return refusedByEdge(model, edge.refusal, limits);
  const reasons = ['edge_model_requested'];
  if (features.maxTokens === null) reasons.push('edge_max_tokens_cap');
  return { route: 'edge', model, reasons };
}

function refusedByEdge(model: string, refusal: Refusal, limits: Limits): Decision {
  if (refusal.code === 'prompt_too_long') return promptTooLong(model, refusal.promptTokens, limits);
  if (refusal.code === 'bad_request') return badRequest(refusal.message);
  return {
    route: 'none',
    status: 503,
    code: refusal.code,
    message: refusal.message,
    param: null,
    reasons: [refusal.code],
    retryAfter: refusal.retryAfter ?? retryAfterDefault,
  };
}

function decideOriginOnly(origin: OriginState): Decision {
  if (!origin.failure) return { route: 'origin', model: origin.model, reasons: ['origin_model_requested'] };
  const { status, code, message, retryAfter } = origin.failure;
  const retry = retryAfter ?? (status === 503 ? retryAfterDefault : null);
  return { route: 'none', status, code, message, param: null, reasons: [downReason(origin.failure)], retryAfter: retry };
}

/** An origin that is being started is told apart from one that is down: it is worth coming back to. */
function downReason(failure: Failure): string {
  return failure.code === 'origin_cold' ? 'origin_cold' : 'origin_unavailable';
}

function promptTooLong(model: string, tokens: number | null, limits: Limits): Decision {
  const length = tokens === null ? 'is too long' : `has ${tokens} tokens, too many`;
  const message = `The prompt ${length} for the edge model ${model}, which takes at most ${limits.edgeMaxPromptTokens} here; shorten it, or use ${autoModel}.`;
  return refuse(400, 'context_length_exceeded', message, 'messages');
}

function badRequest(message: string): Decision {
  return refuse(400, 'invalid_value', message, 'messages');
}

function refuse(status: number, code: string, message: string, param: string): Decision {
  return { route: 'none', status, code, message, param, reasons: [code], retryAfter: null };
}
