import { ModelError } from '../model-error.ts';

/** Answers that another try may turn into a good one: timeouts, rate limits, and a server that is overloaded or restarting. */
const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A server answered with an error status. */
export class HttpError extends ModelError {
  readonly status: number;
  /** How long the server asks to wait, in milliseconds; null when it does not say. */
  readonly retryAfterMs: number | null;
  /** The hub's own name of the error ("GatedRepo", "RevisionNotFound"), or null. */
  readonly code: string | null;

  /** @param what what was asked for, as the subject of a sentence: "model.safetensors" */
  constructor(what: string, response: Pick<Response, 'status' | 'headers'>, now = Date.now()) {
    const code = response.headers.get('x-error-code');
    super(`${what}: the server answered ${response.status}${code ? ` (${code})` : ''}.`);
    this.name = 'HttpError';
    this.status = response.status;
    this.retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), now);
    this.code = code;
  }

  get isRetryable(): boolean {
    return RETRYABLE.has(this.status);
  }
}

/** The value of a Retry-After header, seconds or a date (RFC 9110, 10.2.3), as milliseconds from now. */
function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
