import { ApiError } from '../../routes/errors.ts';

/** The origin could not answer, through no fault of the request: another route may be tried while nothing has been sent. */
export class OriginFailure extends ApiError {
  override readonly name = 'OriginFailure';
}

/** No response at all: refused, unreachable, reset. */
export function unreachable(cause: unknown): OriginFailure {
  return new OriginFailure(503, 'origin_unavailable', 'The origin cannot be reached at the moment.', { cause, retryAfter: 10 });
}

export function timedOut(what: string, ms: number): OriginFailure {
  return new OriginFailure(504, 'origin_timeout', `The origin did not ${what} within ${ms} ms.`);
}

/** The stream or body ended before the answer did. */
export function broken(cause?: unknown): OriginFailure {
  return new OriginFailure(502, 'origin_stream_broken', 'The origin broke off before its answer was complete.', { cause });
}

export function badResponse(what: string): OriginFailure {
  return new OriginFailure(502, 'origin_bad_response', `The origin sent ${what}.`);
}

/** Statuses that tell the client something about its own request, and pass as they are. */
const clientErrors = new Set([400, 409, 413, 415, 422]);

/**
 * What an unsuccessful response of the origin means here. A client must not take the gateway's own trouble (a wrong key, a wrong URL) for its own, so those
 * become 502.
 */
export async function errorOfResponse(response: Response): Promise<ApiError> {
  const { status } = response;
  const said = parseErrorBody(await errorText(response));
  const retryAfter = retryAfterSeconds(response.headers.get('retry-after'));
  if (clientErrors.has(status)) {
    return new ApiError(status, said.code ?? 'invalid_request', said.message ?? `The origin refused the request (HTTP ${status}).`, {
      param: said.param,
      type: said.type ?? undefined,
    });
  }
  if (status === 401 || status === 403) {
    return new OriginFailure(
      502,
      'origin_auth_failed',
      'The origin does not accept this gateway: its operator must check NEARSIDE_ORIGIN_KEY.',
    );
  }
  const detail = said.message ? `: ${said.message}` : '.';
  if (status === 429)
    return new OriginFailure(429, 'origin_rate_limited', `The origin is at its limit${detail}`, { retryAfter: retryAfter ?? 10 });
  if (status === 503)
    return new OriginFailure(503, 'origin_unavailable', `The origin is not available${detail}`, { retryAfter: retryAfter ?? 10 });
  if (status === 504 || status === 408) return new OriginFailure(504, 'origin_timeout', `The origin timed out${detail}`);
  return new OriginFailure(502, 'origin_error', `The origin failed (HTTP ${status})${detail}`);
}

/** An error event inside a stream that had started with 200. */
export function errorOfEvent(error: unknown): ApiError {
  const { message, code } = errorFields(error);
  const status = (error as { code?: unknown } | null)?.code;
  if (typeof status === 'number' && clientErrors.has(status))
    return new ApiError(status, 'invalid_request', message ?? 'The origin refused the request.');
  return new OriginFailure(502, code ?? 'origin_error', message ?? 'The origin failed.');
}

interface SaidError {
  message: string | null;
  type: string | null;
  param: string | null;
  code: string | null;
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
    code: text(fields.code),
  };
}

async function errorText(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch {
    return '';
  }
}

function shorten(text: string): string {
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

/** Seconds of a Retry-After header, which is a number or a date. */
export function retryAfterSeconds(header: string | null, now = Date.now()): number | null {
  if (!header) return null;
  if (/^\d+$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}
