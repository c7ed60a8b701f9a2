import type { Context } from 'hono';

/** OpenAI's error envelope. All four keys are always present. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

export interface ApiErrorDetails {
  /** The request parameter at fault, in OpenAI's path notation (`messages[0].role`). */
  param?: string | null;
  /** Seconds for the Retry-After header. */
  retryAfter?: number | null;
  /** Overrides the type that follows from the status. */
  type?: string;
  /** Further response headers, for instance `allow`. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** An error that a client may see: everything else becomes a plain `internal_error`. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly type: string;
  readonly param: string | null;
  readonly retryAfter: number | null;
  readonly headers: Record<string, string>;

  constructor(status: number, code: string, message: string, details: ApiErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.type = details.type ?? typeOfStatus(status);
    this.param = details.param ?? null;
    this.retryAfter = details.retryAfter ?? null;
    this.headers = details.headers ?? {};
  }

  body(): ErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

function typeOfStatus(status: number): string {
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** For errors of the 5xx that asking again cannot mend: OpenAI's clients go by this header first, and would otherwise wait for Retry-After twice, in silence. */
export const noRetry = { 'x-should-retry': 'false' };

/** What a client is told about any thrown value: internals of unexpected errors stay inside. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(500, 'internal_error', 'The gateway failed to handle this request. Please try again.', { cause: error });
}

export function errorResponse(error: ApiError, requestId: string): Response {
  const headers: Record<string, string> = { ...error.headers, 'content-type': 'application/json', 'x-request-id': requestId };
  if (error.retryAfter !== null) headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfter)));
  return new Response(JSON.stringify(error.body()), { status: error.status, headers });
}

/** Handler for the methods a path does not have. */
export function methodNotAllowed(...allowed: string[]) {
  const allow = allowed.join(', ');
  return (c: Context): never => {
    throw new ApiError(405, 'method_not_allowed', `${c.req.method} is not allowed on ${c.req.path}; use ${allow}.`, { headers: { allow } });
  };
}
