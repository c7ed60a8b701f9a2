import { DeployError } from './deploy-error.ts';
import { explain } from './explain.ts';

export interface ApiOptions {
  /** https://api.cloudflare.com/client/v4, or what CLOUDFLARE_API_BASE_URL says (wrangler reads it, too). */
  baseUrl: string;
  token: string;
  fetch?: typeof fetch;
  /** Pause before the second attempt, milliseconds; the third waits four times as long. */
  pauseMs?: number;
}

interface Envelope {
  success: boolean;
  result: unknown;
  errors?: { code: number; message: string }[];
  result_info?: { page?: number; total_pages?: number };
}

export interface ApiRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  body?: unknown;
  /** For messages: "Creating the bucket". */
  what: string;
}

const TIMEOUT_MS = 60_000;
const ATTEMPTS = 3;

/**
 * One request to Cloudflare's API, repeated where its answer was a server's error or none: all that is asked here may be asked twice.
 * @returns the result; null for 404
 */
export async function callApi<T>(options: ApiOptions, path: string, request: ApiRequest): Promise<T | null> {
  for (let attempt = 1; ; attempt++) {
    const answer = await attemptCall(options, path, request).catch((error: unknown) => (attempt < ATTEMPTS ? null : Promise.reject(error)));
    if (answer && (answer.status < 500 || attempt >= ATTEMPTS)) return read<T>(answer, request.what);
    await new Promise((resolve) => setTimeout(resolve, (options.pauseMs ?? 500) * 4 ** (attempt - 1)));
  }
}

async function attemptCall(
  { baseUrl, token, fetch = globalThis.fetch }: ApiOptions,
  path: string,
  { method = 'GET', body, what }: ApiRequest,
) {
  try {
    const response = await fetch(`${baseUrl.replace(/\/+$/, '')}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    const reason = (cause as Error).cause instanceof Error ? ((cause as Error).cause as Error).message : (cause as Error).message;
    throw new DeployError(
      `${what}: ${new URL(baseUrl).host} cannot be reached (${reason || 'no connection'}). Check the network and run the same again.`,
      { cause },
    );
  }
}

function read<T>({ status, text }: { status: number; text: string }, what: string): T | null {
  const envelope = parse(text);
  if (status >= 200 && status < 300 && envelope?.success !== false) return (envelope?.result ?? null) as T | null;
  const { code = 0, message = '' } = envelope?.errors?.[0] ?? {};
  if (status === 404 && code !== 7003) return null;
  throw explain(what, { status, code, message });
}

function parse(text: string): Envelope | null {
  try {
    return JSON.parse(text) as Envelope;
  } catch {
    return null;
  }
}
