import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import type { Drain } from './drain.ts';

export type FetchHandler = (request: Request) => Promise<Response>;

export interface ServeOptions {
  /** The secret every request must bring as a bearer token; null for none. */
  key: string | null;
  onError: (error: unknown) => void;
  /** Answers paths that need no key, for probes; null for any other path. */
  probe?: (path: string) => Promise<Response | null>;
  /** Pages in browsers are served too. */
  pages?: boolean;
  /** Is told of every answer but those to probes. */
  drain?: Drain;
  /** PEM texts, to serve https. */
  tls?: { key: string; cert: string } | null;
}

const json = { 'content-type': 'application/json' };

/** Whatever a client calls it. */
const HOST = 'http://nearside.invalid';

/** In the shape of OpenAI's errors. */
const complaint = (message: string, code: string) =>
  JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code } });

/**
 * A node:http server in front of a handler that speaks Request and Response. A client that hangs up aborts its request's signal; one that reads slowly slows the
 * response's stream down.
 */
export function createFetchServer(handler: FetchHandler, options: ServeOptions): Server {
  const { key, onError, probe, pages = false, drain, tls } = options;
  const allowed = keyCheck(key);
  const listener = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    try {
      const probed = probe ? await probe(incoming.url ?? '/') : null;
      if (probed) return await write(probed, outgoing);
      // A page in somebody's browser has no business at an engine, not even on the same machine.
      if (!pages && incoming.headers.origin !== undefined) return void outgoing.writeHead(403).end();
      if (!allowed(incoming.headers.authorization)) return void outgoing.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      // Node takes these, and cannot make a Request of them.
      if (/^(TRACE|TRACK)$/.test(incoming.method ?? ''))
        return void outgoing
          .writeHead(405, { ...json, allow: 'GET, POST' })
          .end(complaint(`${incoming.method} is not allowed here.`, 'method_not_allowed'));
      const target = targetOf(incoming.url ?? '/');
      if (!target) return void outgoing.writeHead(400, json).end(complaint('The address of this request is none.', 'invalid_request'));
      drain?.count(outgoing);
      await answer(handler, target, incoming, outgoing);
    } catch (error) {
      if (!outgoing.destroyed) onError(error);
      if (!outgoing.headersSent) outgoing.writeHead(500).end();
      else outgoing.destroy();
    } finally {
      skipRest(incoming);
    }
  };
  return tls ? createTlsServer(tls, listener) : createServer(listener);
}

/** What a request line asks for: a path, which may begin with two slashes and is no host then, or a whole URL. Null for one that cannot be read, or that has credentials. */
function targetOf(target: string): URL | null {
  const url = URL.parse(target.startsWith('/') ? `${HOST}${target}` : target, HOST);
  // No Request can be made of them, and what it says of that would quote them.
  return url?.username || url?.password ? null : url;
}

async function answer(handler: FetchHandler, target: URL, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) gone.abort(new Error('The client has hung up.'));
  });
  const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
  const request = new Request(target, {
    method: incoming.method,
    headers: headersOf(incoming),
    signal: gone.signal,
    ...(hasBody && { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: 'half' }),
  });
  await write(await handler(request), outgoing, gone.signal);
}

/**
 * A client that writes its whole request before it reads, as most do, gets a refusal only once the rest of the body has been taken from it. Node does that itself where
 * nobody has touched the body; as a web stream it has been touched, and the client waited until its connection was closed for idleness, six seconds later.
 */
function skipRest(incoming: IncomingMessage): void {
  if (!incoming.complete && !incoming.destroyed) incoming.removeAllListeners('data').resume();
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  return headers;
}

async function write(response: Response, outgoing: ServerResponse, gone?: AbortSignal): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return void outgoing.end();
  // The client of a stream wants to know at once that it was accepted.
  outgoing.flushHeaders();
  await pipeline(Readable.fromWeb(response.body as NodeReadableStream), outgoing).catch((error: unknown) => {
    if (!gone?.aborted) throw error;
  });
}

/** Compares digests, so that the time says nothing of the key. */
function keyCheck(key: string | null): (authorization: string | undefined) => boolean {
  if (key === null) return () => true;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const wanted = digest(`Bearer ${key}`);
  return (authorization) => timingSafeEqual(digest(authorization ?? ''), wanted);
}
