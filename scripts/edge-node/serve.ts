import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseEdgeConfig } from '../../worker/edge/config.ts';
import type { EdgeRefusal } from '../../worker/edge/protocol.ts';
import type { EdgeServer } from '../../worker/edge/server.ts';
import { Drain, endOnSignals } from './drain.ts';
import { createFetchServer } from './http.ts';
import type { EdgeOptions } from './options.ts';
import { createNodeEdgeServer } from './place.ts';
import { standBack } from './priority.ts';
import { cannotListen, UsageError } from './usage-error.ts';

export interface EdgeAddress {
  /** For instance http://127.0.0.1:8788. */
  address: string;
  /** Name, time to load and threads, for people. */
  model: string;
  /** How far it stands back for other programs, for people. */
  priority: string;
  key: string | null;
  drain: Drain;
}

/** Loads the model and serves it until a signal ends the process. Throws `UsageError` for what the caller can mend. */
export async function serveEdge({ model, port, host, threads, nice, drainMs }: EdgeOptions): Promise<EdgeAddress> {
  const key = process.env.NEARSIDE_EDGE_KEY || null;
  if (key === null && !/^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host))
    throw new UsageError(`--host ${host} can be reached by other machines: set NEARSIDE_EDGE_KEY, here and at the gateway.`);
  const config = parseEdgeConfig({ NEARSIDE_EDGE_MEMORY_BYTES: String(4 * 1024 ** 3), ...process.env });
  const priority = standBack(nice);
  const edge = createNodeEdgeServer(model, config, threads);
  await edge.load();
  const drain = new Drain();
  const server = createEdgeHttpServer(edge, drain, key);
  await listen(server, { port, host });
  endOnSignals(server, drain, drainMs);
  const { model: name, fixture, loadMs } = await edge.status();
  return {
    address: addressOf(server, host),
    model: `${name}${fixture ? ': RANDOM WEIGHTS, so its answers are noise' : ''} (loaded in ${loadMs} ms, ${threads} thread${threads > 1 ? 's' : ''})`,
    priority,
    key,
    drain,
  };
}

/** The engine over HTTP, with `/healthz` and `/readyz` for probes. While it drains it takes no new work, and says so. */
export function createEdgeHttpServer(edge: EdgeServer, drain: Drain, key: string | null): Server {
  const probe = async (path: string) => {
    if (path === '/healthz') return Response.json({ status: 'ok' });
    if (path !== '/readyz') return null;
    const { state } = await edge.status();
    const ready = !drain.draining && state !== 'failed';
    return Response.json({ ready, state: drain.draining ? 'draining' : state }, { status: ready ? 200 : 503 });
  };
  const handler = async (request: Request) =>
    drain.draining && new URL(request.url).pathname === '/generate' ? stopping() : edge.fetch(request);
  return createFetchServer(handler, { key, probe, drain, onError: (error) => console.error(error) });
}

function stopping(): Response {
  const refusal: EdgeRefusal = {
    refused: 'model_unavailable',
    message: 'The edge engine is about to stop and takes no new requests.',
    promptTokens: null,
    retryAfter: 2,
  };
  return Response.json(refusal, { status: 503, headers: { 'retry-after': '2', connection: 'close' } });
}

/** Resolves when the server listens. Throws `UsageError` when it cannot. */
export async function listen(server: Server, where: { port: number; host: string } | { fd: number }): Promise<void> {
  server.listen(where);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    const place = 'fd' in where ? `File descriptor ${where.fd}` : `${where.host}:${where.port}`;
    throw cannotListen(place, error.code);
  });
}

/** @param host as it was asked for */
export function addressOf(server: Server, host: string, scheme = 'http'): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
}
