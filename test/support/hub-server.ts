import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** A request as a hub or its storage saw it. */
export interface HubRequest {
  /** The hub answers about models and sends to its storage for large files: another host, which must never see the token. */
  host: 'hub' | 'storage';
  path: string;
  authorization: string | null;
  /** First and last byte asked for. */
  range: [number, number] | null;
}

/** What goes wrong with an answer. */
export type Fault =
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  /** The connection is destroyed after so many bytes of content; with null, before any answer. */
  | { kind: 'cut'; after: number | null }
  /** Content-Length says so much more (or less) than is sent. */
  | { kind: 'lie'; by: number }
  /** The byte at this place of the file is another one. */
  | { kind: 'flip'; at: number }
  /** Content-Range and X-Linked-Size tell another size of the whole file. */
  | { kind: 'size'; size: number }
  /** Sends so many bytes, and then nothing more. */
  | { kind: 'stall'; after: number }
  /** Ignores the range and sends everything. */
  | { kind: 'no_ranges' };

export interface HubServer {
  endpoint: string;
  /** Where large files are, by name; also any other web server, for a finished pack. */
  storage: string;
  /** Every request so far. */
  seen: HubRequest[];
  /** Content bytes of files sent so far. */
  sent: number;
  /** Asked for every request; the first fault that one of them answers happens. */
  faults: ((request: HubRequest, count: number) => Fault | null | undefined)[];
  close(): Promise<void>;
}

export const COMMIT = 'a'.repeat(40);

/** Files of a repository: a folder's, or given ones. Files of 64 kB and more are large (LFS). */
export interface HubModel {
  name: string;
  files: Record<string, Uint8Array | { path: string }>;
  /** Only with this bearer token; else 401. */
  token?: string;
  commit?: string;
}

const LARGE_BYTES = 64 * 1024;

interface Published {
  size: number;
  sha256: string;
  gitSha1: string;
  content: Uint8Array | { path: string };
}

/** The files of a folder, to be served without loading them. */
export const folderFiles = (folder: string): HubModel['files'] =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, { path: join(folder, name) }]));

/** A hub with one model: resolve redirects to storage on another port, ranges, ETags, and whatever fault is asked for. */
export async function startHub(model: HubModel): Promise<HubServer> {
  const files = new Map<string, Published>();
  for (const [path, content] of Object.entries(model.files)) files.set(path, await publish(content));
  const state = { seen: [] as HubRequest[], sent: 0, faults: [] as HubServer['faults'], storage: '' };
  const listen = async (host: HubRequest['host'], answer: Answer) => {
    const server = createServer((request, response) => handle(host, request, response, state, answer));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return server;
  };
  const storage = await listen('storage', (path, respond) => respond.file(files.get(decodeURIComponent(path.slice(1).split('?')[0]!))));
  state.storage = `http://127.0.0.1:${(storage.address() as AddressInfo).port}`;
  const hub = await listen('hub', (path, respond) => answerAsHub(model, files, path, respond));
  return Object.assign(state, {
    endpoint: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`,
    async close() {
      for (const server of [hub, storage]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  });
}

async function publish(content: Uint8Array | { path: string }): Promise<Published> {
  const size = content instanceof Uint8Array ? content.length : statSync(content.path).size;
  const [sha256, sha1] = [createHash('sha256'), createHash('sha1').update(`blob ${size}\0`)];
  for await (const chunk of content instanceof Uint8Array ? [content] : createReadStream(content.path)) {
    sha256.update(chunk);
    sha1.update(chunk);
  }
  return { size, sha256: sha256.digest('hex'), gitSha1: sha1.digest('hex'), content };
}

interface Respond {
  request: HubRequest;
  json(value: unknown): void;
  status(status: number, headers?: Record<string, string>): void;
  redirect(location: string, headers: Record<string, string>): void;
  file(file: Published | undefined): void;
  storage: string;
  fault: Fault | null;
}
type Answer = (path: string, respond: Respond) => unknown;

function answerAsHub(model: HubModel, files: Map<string, Published>, path: string, respond: Respond): unknown {
  if (model.token && respond.request.authorization !== `Bearer ${model.token}`) return respond.status(401);
  const commit = model.commit ?? COMMIT;
  const info = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^?]+)\?blobs=true$/.exec(path);
  if (info) {
    if (info[1] !== model.name) return respond.status(401, { 'x-error-code': 'RepoNotFound' });
    if (![commit, 'main'].includes(info[2]!)) return respond.status(404, { 'x-error-code': 'RevisionNotFound' });
    const siblings = [...files].map(([rfilename, { size, sha256, gitSha1 }]) => ({
      rfilename,
      size,
      blobId: gitSha1,
      ...(size >= LARGE_BYTES ? { lfs: { sha256, size, pointerSize: 134 } } : {}),
    }));
    return respond.json({ id: model.name, sha: commit, siblings });
  }
  const name = decodeURIComponent(/^\/[^/]+\/[^/]+\/resolve\/[0-9a-f]{40}\/(.+)$/.exec(path)?.[1] ?? '');
  const file = files.get(name);
  if (!file) return respond.status(404, { 'x-error-code': 'EntryNotFound' });
  if (file.size < LARGE_BYTES) return respond.file(file);
  const size = respond.fault?.kind === 'size' ? respond.fault.size : file.size;
  return respond.redirect(`${respond.storage}/${encodeURIComponent(name)}?signature=1`, {
    'x-linked-size': String(size),
    'x-linked-etag': `"${file.sha256}"`,
    'x-repo-commit': commit,
  });
}

interface State {
  seen: HubRequest[];
  sent: number;
  faults: HubServer['faults'];
  storage: string;
}

function handle(host: HubRequest['host'], incoming: IncomingMessage, response: ServerResponse, state: State, answer: Answer): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(incoming.headers.range ?? '');
  const request: HubRequest = {
    host,
    path: incoming.url!,
    authorization: incoming.headers.authorization ?? null,
    range: range ? [Number(range[1]), Number(range[2])] : null,
  };
  state.seen.push(request);
  const fault = state.faults.map((find) => find(request, state.seen.length)).find(Boolean) ?? null;
  if (fault?.kind === 'cut' && fault.after === null) return void incoming.socket.destroy();
  if (fault?.kind === 'status') return void response.writeHead(fault.status, fault.headers).end('a fault');
  answer(request.path, {
    request,
    storage: state.storage,
    fault,
    json: (value) => send(response, 200, { 'content-type': 'application/json' }, Buffer.from(JSON.stringify(value)), 0, fault, () => {}),
    status: (status, headers = {}) => void response.writeHead(status, headers).end(),
    redirect: (location, headers) => void response.writeHead(302, { ...headers, location }).end(),
    file: (file) => {
      if (!file) return void response.writeHead(404).end();
      const [start, end] = request.range && fault?.kind !== 'no_ranges' ? request.range : [0, file.size - 1];
      if (end >= file.size) return void response.writeHead(416).end();
      const size = fault?.kind === 'size' ? fault.size : file.size;
      const partial = request.range && fault?.kind !== 'no_ranges';
      const headers = {
        'accept-ranges': 'bytes',
        etag: '"storage"',
        ...(partial ? { 'content-range': `bytes ${start}-${end}/${size}` } : {}),
      };
      const { content } = file;
      const body = content instanceof Uint8Array ? content.subarray(start, end + 1) : createReadStream(content.path, { start, end });
      const length = end - start + 1;
      send(response, partial ? 206 : 200, headers, body, start, fault, (bytes) => (state.sent += bytes), length);
    },
  });
}

const drained = (response: ServerResponse): Promise<void> =>
  new Promise((done) => {
    const end = () => {
      response.off('drain', end).off('close', end);
      done();
    };
    response.on('drain', end).on('close', end);
  });

/** Sends the content, with the fault in it. `start` is the place of its first byte in the file. */
async function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  start: number,
  fault: Fault | null,
  onSent: (bytes: number) => void,
  length = (body as Uint8Array).length,
): Promise<void> {
  const said = length + (fault?.kind === 'lie' ? fault.by : 0);
  response.writeHead(status, { ...headers, 'content-length': said });
  const end = fault?.kind === 'cut' || fault?.kind === 'stall' ? Math.min(fault.after!, length) : Math.min(length, said);
  let at = 0;
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    const part = Uint8Array.from(chunk.subarray(0, end - at));
    if (fault?.kind === 'flip' && fault.at >= start + at && fault.at < start + at + part.length) part[fault.at - start - at]! ^= 1;
    onSent(part.length);
    at += part.length;
    if (!response.write(part)) await drained(response);
    if (at >= end || response.destroyed) break;
  }
  if (fault?.kind === 'stall') return;
  if (fault?.kind === 'cut' || said > length) setTimeout(() => response.destroy(), 5);
  else response.end();
}
