import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { alternativeFor, play, sendJson } from './fault-commands.ts';
import type { SeenRequest } from './seen-request.ts';

/**
 * An OpenAI-compatible origin on loopback that misbehaves on demand. The last message of a chat request is its script: commands in order, separated by `;`.
 *
 *   tokens N [MS]   N chunks, one every MS milliseconds
 *   role            a chunk with the role alone
 *   comment [N MS]  N comments, one every MS milliseconds
 *   usage | finish | done | error   the chunk of that kind
 *   half            half an event
 *   raw TEXT        that text as an event's data
 *   write TEXT      that text as it is, with \n, \r, \s and \xNN
 *   drip MS TEXT    the same, one byte every MS milliseconds
 *   giant N         N bytes without a line end
 *   whole           a complete answer that is not a stream
 *   wait MS         silence
 *   stall           silence until the client leaves
 *   head            send the response's head
 *   type T [N=V ..] send a head with that content type and further headers
 *   socket TEXT     write past the HTTP layer
 *   flood           a head that never ends
 *   cut | reset     destroy the connection, by FIN or by RST
 *   hangup          close the connection politely, whatever was promised
 *   gzipped         a complete answer, compressed
 *   end             end the response here
 *   status N [N=V ..]  answer with that status, these headers and an error body
 *   html            answer 200 with something else
 *   (nothing)       a complete answer: role; tokens 2; finish; done
 *
 * It is many endpoints: /e/NAME/v1 is the one of that name. Alternatives for endpoints or attempts (by x-request-id) are separated by `||`, the first that fits
 * is played: `a> status 500 || 2> tokens 1; finish; done || stall`.
 *
 * GET /files/ID/SCRIPT plays a script, too, for an address that a client may name.
 *
 * GET /seen/ID tells what arrived last with that x-request-id, or at /files/ID: body, headers, and whether the client left before the end, and when; GET /attempts/ID tells all of
 * them. PUT /e/NAME/state sets what GET /e/NAME/health and /e/NAME/metrics say (`{status, metrics}`); GET /e/NAME/scrapes counts how often they were asked.
 */
export interface FaultOrigin {
  /** Base URL, ends in /v1. */
  url: string;
  close(): Promise<void>;
}

interface EndpointState {
  status: number;
  metrics: string | null;
  scrapes: number;
}

/** What has arrived, and how each endpoint is. */
class Records {
  readonly seen = new Map<string, SeenRequest[]>();
  readonly #states = new Map<string, EndpointState>();

  /** Remembers a request, and how it ends. Returns how many there have been with that id. */
  add(id: string, request: IncomingMessage, response: ServerResponse, endpoint: string, body: Record<string, unknown>): number {
    const headers = request.headers as Record<string, string>;
    const record: SeenRequest = { body, headers, endpoint, closed: false, aborted: false, abortedAt: null };
    const attempts = [...(this.seen.get(id) ?? []), record];
    this.seen.set(id, attempts);
    response.on('close', () => {
      record.closed = true;
      record.aborted = !response.writableFinished;
      record.abortedAt = record.aborted ? Date.now() : null;
    });
    return attempts.length;
  }

  state(name: string): EndpointState {
    const state = this.#states.get(name) ?? { status: 200, metrics: null, scrapes: 0 };
    this.#states.set(name, state);
    return state;
  }
}

export async function startFaultOrigin(): Promise<FaultOrigin> {
  const records = new Records();
  const server = createServer((request, response) => {
    handle(request, response, records).catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

async function handle(request: IncomingMessage, response: ServerResponse, records: Records): Promise<void> {
  const url = request.url ?? '';
  const [, endpoint = '', path = ''] = /^\/e\/([\w-]+)(\/.*)$/.exec(url) ?? ['', '', url];
  const [, about, id = ''] = /^\/(seen|attempts)\/(.*)$/.exec(path) ?? [];
  if (about) {
    const all = records.seen.get(decodeURIComponent(id)) ?? [];
    return sendJson(response, 200, about === 'seen' ? (all.at(-1) ?? null) : all);
  }
  if (path === '/v1/chat/completions') return answerChat(request, response, records, endpoint);
  const [, file, script = ''] = /^\/files\/([^/]+)\/(.*)$/.exec(path) ?? [];
  if (file) {
    records.add(file, request, response, endpoint, {});
    return play(response, decodeURIComponent(script), false);
  }
  if (path === '/v1/models') return sendJson(response, records.state(endpoint).status, { object: 'list', data: [] });
  if (path === '/state') {
    Object.assign(records.state(endpoint), JSON.parse(await bodyOf(request)));
    return sendJson(response, 200, {});
  }
  if (path === '/scrapes') return sendJson(response, 200, records.state(endpoint).scrapes);
  if (path === '/health' || path === '/metrics') return answerScrape(response, path, records.state(endpoint));
  sendJson(response, 404, { error: { message: `no ${path}` } });
}

async function answerChat(request: IncomingMessage, response: ServerResponse, records: Records, endpoint: string): Promise<void> {
  const body: Record<string, unknown> = JSON.parse(await bodyOf(request));
  const attempt = records.add(String(request.headers['x-request-id']), request, response, endpoint, body);
  const messages = body.messages as { content: unknown }[];
  const script = alternativeFor(String(messages.at(-1)?.content ?? ''), endpoint, attempt);
  await play(response, script, body.stream === true);
}

function answerScrape(response: ServerResponse, path: string, state: EndpointState): void {
  state.scrapes++;
  if (path === '/metrics' && state.metrics === null) sendJson(response, 404, {});
  else response.writeHead(state.status, { 'content-type': 'text/plain' }).end(path === '/metrics' ? state.metrics : 'ok');
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}
