import type { EdgeEstimate } from './estimates.ts';
import type { Reason } from './reasons.ts';
import { downReason, type Open } from './rules.ts';
import type { Failure, Limits, Nowhere, Refusal } from './types.ts';

const retryAfterDefault = 10;
const nothingExpected = { expected: { edge: null, origin: null }, runnerUp: null } as const;

/** Neither route can answer `nearside-auto`: the origin's failure is the more telling one, as it could have answered anything. */
export function nobody(open: Open, edge: EdgeEstimate | null, limits: Limits): Nowhere {
  if (open.failure) return originDown(open.failure, open.against);
  const refusal = edge?.refusal;
  if (refusal?.code === 'bad_request') return badRequest(refusal);
  const noOrigin = open.noOrigin ?? 'no_origin';
  const against = open.against.map((reason) => explain(reason, limits)).join(', ');
  const start = `No route can answer this request: the edge model does not take it (${against}) and`;
  // Asking again helps only where the edge would take it another time.
  if (noOrigin !== 'no_origin' && !refusal) {
    const message = `${start} no origin is allowed to (${noOrigin}); leave that out, or ask with a policy that allows one.`;
    return error(403, 'route_not_allowed', message, null, ['route_not_allowed', noOrigin, ...open.against]);
  }
  const message = `${start} ${noOrigin === 'no_origin' ? 'no origin is configured (NEARSIDE_ORIGIN_URL)' : `no origin is allowed to (${noOrigin})`}.`;
  const mayPass = refusal?.code === 'queue_full' || refusal?.code === 'model_unavailable';
  return error(503, 'no_route', message, null, [noOrigin, ...open.against], mayPass ? (refusal.retryAfter ?? retryAfterDefault) : null);
}

function explain(reason: Reason, limits: Limits): string {
  if (reason === 'max_tokens') return `max_tokens: it answers with at most ${limits.edgeMaxTokens}`;
  if (reason === 'prompt_too_long') return `prompt_too_long: it takes at most ${limits.edgeMaxPromptTokens} tokens`;
  return reason;
}

export function originDown(failure: Failure, against: Reason[]): Nowhere {
  const { status, code, message, retryAfter } = failure;
  const retry = retryAfter ?? (status === 503 ? retryAfterDefault : null);
  return error(status, code, message, null, [downReason(failure), ...against], retry);
}

export function refusedByEdge(model: string, refusal: Refusal, limits: Limits, autoModel: string): Nowhere {
  if (refusal.code === 'prompt_too_long') {
    const { promptTokens, message } = refusal;
    // Where the limit here would let it through, the engine's own is the smaller one, and its words name it.
    if (promptTokens !== null && promptTokens <= limits.edgeMaxPromptTokens) return refused('context_length_exceeded', message, 'messages');
    return promptTooLong(model, promptTokens, limits, autoModel);
  }
  if (refusal.code === 'bad_request') return badRequest(refusal);
  return error(503, refusal.code, refusal.message, null, [refusal.code], refusal.retryAfter ?? retryAfterDefault);
}

export function promptTooLong(model: string, tokens: number | null, limits: Limits, autoModel: string): Nowhere {
  const length = tokens === null ? 'is too long' : `has ${tokens} tokens, too many`;
  // By OpenAI's words for it, and not by the code, LiteLLM knows a prompt that it may send to a model with more room.
  const message = `The prompt ${length} for the edge model ${model}: this model's maximum context length is ${limits.edgeMaxPromptTokens} tokens here; shorten it, or use ${autoModel}.`;
  return refused('context_length_exceeded', message, 'messages');
}

/** A model was asked for by name that policy or residency rules out. */
export function notAllowed(model: string, why: Reason, autoModel: string): Nowhere {
  const rule = why === 'residency' ? 'The data-residency rule' : `The policy ${why.replace('_', '-')}`;
  const message = `${rule} does not allow the model '${model}' for this request; ask for ${autoModel} or another model.`;
  return error(403, 'route_not_allowed', message, 'model', ['route_not_allowed', why]);
}

export function unknownModel(model: string): Nowhere {
  const message = `The model '${model}' does not exist; GET /v1/models lists those offered.`;
  return error(404, 'model_not_found', message, 'model', ['model_not_found']);
}

/** The request cannot be answered as it is; its code is the reason. */
export function refused(code: Reason, message: string, param: string): Nowhere {
  return error(400, code, message, param, [code]);
}

function badRequest({ message, param }: Refusal): Nowhere {
  return refused('invalid_value', message, param ?? 'messages');
}

function error(
  status: number,
  code: string,
  message: string,
  param: string | null,
  reasons: Reason[],
  retryAfter: number | null = null,
): Nowhere {
  return { route: 'none', status, code, message, param, reasons, retryAfter, ...nothingExpected };
}
