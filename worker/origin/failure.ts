import { ApiError, type ApiErrorDetails } from '../../routes/errors.ts';
import { within } from '../../routes/within.ts';
import type { Adapter, SaidError } from './adapters.ts';

/**
 * What went wrong, for the decision what to do about it:
 * `unreachable` no connection, `overloaded` 408, 429, `unavailable` 503, `error` other 5xx, `broken` it stopped half-way, `timeout` it was too slow, `wrong` it
 * answered in a way that another attempt there will not change (a wrong key, address or protocol).
 */
export type FailureKind = 'unreachable' | 'overloaded' | 'unavailable' | 'error' | 'broken' | 'timeout' | 'wrong';

interface OriginFailureDetails extends ApiErrorDetails {
  /** Pause that the origin asks for, milliseconds. */
  pauseMs?: number | null;
}

/** The origin could not answer, through no fault of the request: another endpoint or route may be tried while nothing has been sent. */
export class OriginFailure extends ApiError {
  override readonly name = 'OriginFailure';
  readonly kind: FailureKind;
  readonly pauseMs: number | null;

  constructor(kind: FailureKind, status: number, code: string, message: string, details: OriginFailureDetails = {}) {
    super(status, code, message, details);
    this.kind = kind;
    this.pauseMs = details.pauseMs ?? null;
  }
}

/** No response at all: refused, unreachable, reset. */
export function unreachable(cause: unknown): OriginFailure {
  return new OriginFailure('unreachable', 503, 'origin_unavailable', 'The origin cannot be reached at the moment.', {
    cause,
    retryAfter: 10,
  });
}

export function timedOut(what: string, ms: number): OriginFailure {
  return new OriginFailure('timeout', 504, 'origin_timeout', `The origin did not ${what} within ${Math.round(ms)} ms.`);
}

/** The stream or body ended before the answer did. */
export function broken(cause?: unknown): OriginFailure {
  return new OriginFailure('broken', 502, 'origin_stream_broken', 'The origin broke off before its answer was complete.', { cause });
}

export function badResponse(what: string): OriginFailure {
  return new OriginFailure('wrong', 502, 'origin_bad_response', `The origin sent ${what}.`);
}

/** Scaled to zero: it is being woken, which takes minutes. */
export function cold(): OriginFailure {
  return new OriginFailure('unavailable', 503, 'origin_cold', 'The origin is being started, which takes a few minutes.', {
    retryAfter: 30,
  });
}

/** Time for reading the body of an error, milliseconds. */
const errorBodyMs = 250;

/** Statuses that tell the client something about its own request, and pass as they are. */
const clientErrors = new Set([400, 409, 413, 415, 422]);

/** llama-server answers 500 to an image for a model that sees none. Taken for a failure it was asked for three times, and then the endpoint was left out. */
const unreadMedia = /\b(?:image|audio|video) input is not supported/;

/**
 * What an unsuccessful response of the origin means here. A client must not take the gateway's own trouble (a wrong key, a wrong URL) for its own, so those
 * become 502.
 */
export async function errorOfResponse(response: Response, adapter: Adapter): Promise<ApiError> {
  const { status } = response;
  const said = adapter.error(parseErrorBody(await errorText(response)), status);
  const pauseMs = pauseOf(response.headers);
  if (clientErrors.has(status)) return refusedRequest(status, said);
  if (unreadMedia.test(said.message ?? ''))
    return new ApiError(400, 'unsupported_modality', `The origin cannot read this: ${said.message}`, { param: 'messages' });
  if (status === 401 || status === 403) {
    const message = 'The origin does not accept this gateway: its operator must check NEARSIDE_ORIGIN_KEY.';
    return new OriginFailure('wrong', 502, 'origin_auth_failed', message);
  }
  const detail = said.message ? `: ${said.message}` : '.';
  const retryAfter = pauseMs === null ? 10 : Math.ceil(pauseMs / 1000);
  if (status === 429) {
    return new OriginFailure('overloaded', 429, 'origin_rate_limited', `The origin is at its limit${detail}`, { retryAfter, pauseMs });
  }
  if (status === 503) {
    return new OriginFailure('unavailable', 503, 'origin_unavailable', `The origin is not available${detail}`, { retryAfter, pauseMs });
  }
  if (status === 504 || status === 408) {
    return new OriginFailure(status === 408 ? 'overloaded' : 'error', 504, 'origin_timeout', `The origin timed out${detail}`, { pauseMs });
  }
  const kind = status >= 500 && status !== 501 && status !== 505 ? 'error' : 'wrong';
  return new OriginFailure(kind, 502, 'origin_error', `The origin failed (HTTP ${status})${detail}`, { pauseMs });
}

function refusedRequest(status: number, said: SaidError): ApiError {
  return new ApiError(status, said.code ?? 'invalid_request', said.message ?? `The origin refused the request (HTTP ${status}).`, {
    param: said.param,
    type: said.type ?? undefined,
  });
}

/** An error object that came with status 200: inside a stream, or as the body. */
export function errorOfEvent(error: unknown, adapter: Adapter): ApiError {
  const { code, type } = (error ?? {}) as { code?: unknown; type?: unknown };
  const status = typeof code === 'number' ? code : type === 'invalid_request_error' ? 400 : 500;
  const said = adapter.error(errorFields(error), status);
  if (clientErrors.has(status)) return refusedRequest(status, said);
  const details = { type: said.type ?? undefined, param: said.param };
  return new OriginFailure('error', 502, said.code ?? 'origin_error', said.message ?? 'The origin failed.', details);
}

/** Reads the shapes that inference servers use: `{error: {...}}`, `{error: "..."}`, `{message}`, `{detail}`, or plain text. */
function parseErrorBody(text: string): SaidError {
  try {
    const body = JSON.parse(text);
    return errorFields(body?.error ?? body);
  } catch {
    const plain = text.trim();
    return { message: plain && !plain.startsWith('<') ? shorten(plain) : null, type: null, param: null, code: null };
  }
}

function errorFields(error: unknown): SaidError {
  if (typeof error === 'string') return { message: shorten(error), type: null, param: null, code: null };
  const fields = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? shorten(value) : null);
  return {
    message: text(fields.message) ?? text(fields.detail),
    type: text(fields.type),
    param: text(fields.param),
    // A word for programs, which goes into headers and logs: sentences have no place there.
    code: typeof fields.code === 'string' && /^[\w.:-]{1,64}$/.test(fields.code) ? fields.code : null,
  };
}

/** An error is a few lines: whatever goes on and on, or comes by drops, is not read to its end. */
export async function errorText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const deadline = Date.now() + errorBodyMs;
  let text = '';
  try {
    while (reader && text.length < 65_536) {
      const next = await within(reader.read(), Math.max(1, deadline - Date.now()));
      if (!next || next.done) break;
      text += decoder.decode(next.value, { stream: true });
    }
  } catch {
    // What came before the connection broke is still worth reading.
  }
  reader?.cancel().catch(() => {});
  return text;
}

function shorten(text: string): string {
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

/** The pause that a response asks for, milliseconds: `retry-after-ms`, or `Retry-After` as seconds or a date. */
export function pauseOf(headers: Headers, now = Date.now()): number | null {
  const ms = headers.get('retry-after-ms')?.trim();
  if (ms && /^\d+(\.\d+)?$/.test(ms)) return Number(ms);
  const after = headers.get('retry-after')?.trim();
  if (!after) return null;
  if (/^\d+(\.\d+)?$/.test(after)) return 1000 * Number(after);
  const date = Date.parse(after);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
