import { ModelError } from '../model-error.ts';
import { HttpError } from './http-error.ts';
import { TransferError } from './transfer-error.ts';

/** How to reach servers. */
export interface Connection {
  fetch: typeof fetch;
  /** A bearer token and the one origin (scheme, host and port) that may see it; null when there is none. */
  credential: { token: string; origin: string } | null;
  /** Milliseconds after which a connection that brings nothing is given up. */
  idleMs: number;
}

export const DEFAULT_IDLE_MS = 30_000;

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface Answer {
  response: Response;
  /** Where it came from in the end. */
  url: string;
  /** Headers of the redirects on the way: the hub describes a file there before it sends clients to its storage. */
  redirects: Headers[];
}

/**
 * GETs `url`, following redirects. They are followed here because a file's storage is another host, and `fetch` would not say what the redirect's own headers were;
 * the credential goes to its own origin only. Throws `HttpError` for error statuses, `TransferError` when no answer comes, `ModelError` for bad redirects.
 * @param what what is asked for, as the subject of error messages
 */
export async function request(
  what: string,
  url: string,
  connection: Connection,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Answer> {
  const redirects: Headers[] = [];
  for (let at = url; ; ) {
    // Compressed answers would make Content-Length and ranges mean something else.
    const sent: Record<string, string> = { 'accept-encoding': 'identity', ...headers };
    const { credential } = connection;
    if (credential && new URL(at).origin === credential.origin) sent.authorization = `Bearer ${credential.token}`;
    const response = await fetchHead(what, at, sent, connection, signal);
    if (response.ok) return { response, url: at, redirects };
    await response.body?.cancel().catch(() => {});
    if (!REDIRECTS.has(response.status)) throw new HttpError(what, response);
    redirects.push(response.headers);
    at = nextLocation(what, at, response.headers.get('location'), redirects.length);
  }
}

/** The response once its headers are there. */
async function fetchHead(what: string, url: string, headers: Record<string, string>, { fetch, idleMs }: Connection, signal?: AbortSignal) {
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(new Error(`no answer for ${idleMs / 1000} seconds`)), idleMs);
  try {
    return await fetch(url, { headers, redirect: 'manual', signal: signal ? AbortSignal.any([signal, slow.signal]) : slow.signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new TransferError(`${what}: ${new URL(url).host} cannot be reached (${reasonOf(cause)}).`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

function nextLocation(what: string, from: string, location: string | null, count: number): string {
  if (location === null || !URL.canParse(location, from)) throw new ModelError(`${what}: the server redirects to nowhere.`);
  const next = new URL(location, from);
  if (count >= MAX_REDIRECTS) throw new ModelError(`${what}: the server redirects more than ${MAX_REDIRECTS} times.`);
  if (next.protocol !== 'https:' && next.protocol !== new URL(from).protocol) {
    throw new ModelError(`${what}: the server redirects from ${new URL(from).protocol} to ${next.protocol}, which is refused.`);
  }
  return next.href;
}

/** What went wrong below HTTP: Node puts the system's error code into the cause of a "fetch failed". */
export function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string; message?: string }; message?: string };
  return cause?.code ?? cause?.message ?? message ?? String(error);
}
