import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';

export type FetchHandler = (request: Request) => Promise<Response>;

export interface ServeOptions {
  /** The secret every request must bring as a bearer token; null for none. */
  key: string | null;
  onError: (error: unknown) => void;
}

/**
 * A node:http server in front of a handler that speaks Request and Response. A client that hangs up aborts its request's signal; one that reads slowly slows the
 * response's stream down.
 */
export function createFetchServer(handler: FetchHandler, { key, onError }: ServeOptions): Server {
  const allowed = keyCheck(key);
  return createServer(async (incoming, outgoing) => {
    try {
      // A page in somebody's browser has no business here, not even on the same machine.
      if (incoming.headers.origin !== undefined) return void outgoing.writeHead(403).end();
      if (!allowed(incoming.headers.authorization)) return void outgoing.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      await answer(handler, incoming, outgoing);
    } catch (error) {
      if (!outgoing.destroyed) onError(error);
      if (!outgoing.headersSent) outgoing.writeHead(500).end();
      else outgoing.destroy();
    }
  });
}

async function answer(handler: FetchHandler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) gone.abort(new Error('The client has hung up.'));
  });
  const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
  const request = new Request(new URL(incoming.url ?? '/', 'http://edge.invalid'), {
    method: incoming.method,
    signal: gone.signal,
    ...(hasBody && { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: 'half' }),
  });
  const response = await handler(request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return void outgoing.end();
  // The client of a stream wants to know at once that it was accepted.
  outgoing.flushHeaders();
  await pipeline(Readable.fromWeb(response.body as NodeReadableStream), outgoing).catch((error: unknown) => {
    if (!gone.signal.aborted) throw error;
  });
}

/** Compares digests, so that the time says nothing of the key. */
function keyCheck(key: string | null): (authorization: string | undefined) => boolean {
  if (key === null) return () => true;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const wanted = digest(`Bearer ${key}`);
  return (authorization) => timingSafeEqual(digest(authorization ?? ''), wanted);
}
