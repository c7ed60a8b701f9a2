import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface StoredObject {
  content: Buffer;
  sha256: string | null;
}

/** What goes wrong with a request. `before`: it has no effect; `after`: it has, and its answer is lost. */
export type S3Fault = { status: number; code?: string } | 'cut_before' | 'cut_after' | 'damage';

export interface S3Server {
  endpoint: string;
  /** By key, in the one bucket there is. */
  objects: Map<string, StoredObject>;
  /** Unfinished uploads: id -> key and parts by number. */
  uploads: Map<string, { key: string; sha256: string | null; parts: Map<number, Buffer> }>;
  /** "METHOD key?query" of every request. */
  seen: string[];
  fault: (request: string, count: number) => S3Fault | null;
  close(): Promise<void>;
}

/** As much of S3 as a push uses, to break: it checks that every request is signed and every body is what was signed. The real thing is R2. */
export async function startS3(bucket: string, accessKeyId: string): Promise<S3Server> {
  const state: S3Server = { endpoint: '', objects: new Map(), uploads: new Map(), seen: [], fault: () => null, close: async () => {} };
  const server = createServer((request, response) => void handle(request, response, state, bucket, accessKeyId));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  state.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  state.close = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return state;
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  state: S3Server,
  bucket: string,
  accessKeyId: string,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const url = new URL(request.url!, state.endpoint);
  const [, name, ...rest] = decodeURIComponent(url.pathname).split('/');
  const key = rest.join('/');
  const label = `${request.method} ${key}${url.search}`;
  state.seen.push(label);
  const fault = state.fault(label, state.seen.length);
  const refuse = (status: number, code: string) => void response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);
  if (fault === 'cut_before') return void request.socket.destroy();
  if (fault === 'damage') body[0]! ^= 1;
  if (fault !== null && typeof fault === 'object') return refuse(fault.status, fault.code ?? 'InternalError');
  if (!request.headers.authorization?.startsWith(`AWS4-HMAC-SHA256 Credential=${accessKeyId}/`)) return refuse(403, 'InvalidAccessKeyId');
  if (request.headers['x-amz-content-sha256'] !== createHash('sha256').update(body).digest('hex'))
    return refuse(400, 'XAmzContentSHA256Mismatch');
  if (name !== bucket) return refuse(404, 'NoSuchBucket');
  const answer = answerTo(request.method!, key, url.searchParams, body, (request.headers['x-amz-meta-sha256'] as string) ?? null, state);
  if (fault === 'cut_after') return void request.socket.destroy();
  response.writeHead(answer.status, answer.headers).end(answer.body);
}

interface Answered {
  status: number;
  headers?: Record<string, string>;
  body?: Buffer | string;
}

function answerTo(method: string, key: string, query: URLSearchParams, body: Buffer, sha256: string | null, state: S3Server): Answered {
  const upload = state.uploads.get(query.get('uploadId') ?? '');
  if (query.has('uploadId') && !upload) return { status: 404, body: '<Error><Code>NoSuchUpload</Code></Error>' };
  switch (`${method}${upload ? ' upload' : query.has('uploads') ? ' uploads' : ''}`) {
    case 'POST uploads': {
      const id = `upload-${state.seen.length}`;
      state.uploads.set(id, { key, sha256, parts: new Map() });
      return { status: 200, body: `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>` };
    }
    case 'GET uploads': {
      const left = [...state.uploads].filter(([, each]) => each.key.startsWith(query.get('prefix') ?? ''));
      const items = left.map(([id, each]) => `<Upload><Key>${each.key}</Key><UploadId>${id}</UploadId></Upload>`);
      return { status: 200, body: `<ListMultipartUploadsResult><KeyMarker></KeyMarker>${items.join('')}</ListMultipartUploadsResult>` };
    }
    case 'PUT upload':
      upload!.parts.set(Number(query.get('partNumber')), body);
      return { status: 200, headers: { etag: `"part-${query.get('partNumber')}"` } };
    case 'POST upload': {
      const parts = [...upload!.parts].sort(([a], [b]) => a - b);
      if (parts.slice(0, -1).some(([, part]) => part.length < 5 << 20))
        return { status: 400, body: '<Error><Code>EntityTooSmall</Code></Error>' };
      state.objects.set(key, { content: Buffer.concat(parts.map(([, part]) => part)), sha256: upload!.sha256 });
      state.uploads.delete(query.get('uploadId')!);
      return { status: 200, body: '<CompleteMultipartUploadResult/>' };
    }
    case 'DELETE upload':
      state.uploads.delete(query.get('uploadId')!);
      return { status: 204 };
    case 'PUT':
      state.objects.set(key, { content: body, sha256 });
      return { status: 200 };
    case 'DELETE':
      state.objects.delete(key);
      return { status: 204 };
    default:
      return key === '' ? listing(query, state) : read(key, state);
  }
}

function read(key: string, state: S3Server): Answered {
  const object = state.objects.get(key);
  if (!object) return { status: 404, body: '<Error><Code>NoSuchKey</Code></Error>' };
  const headers = { 'content-length': String(object.content.length), ...(object.sha256 ? { 'x-amz-meta-sha256': object.sha256 } : {}) };
  return { status: 200, headers, body: object.content };
}

/** Two keys a page, so that every listing has several. */
function listing(query: URLSearchParams, state: S3Server): Answered {
  const keys = [...state.objects.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '')).sort();
  const from = Number(query.get('continuation-token') ?? 0);
  const items = keys
    .slice(from, from + 2)
    .map((key) => `<Contents><Key>${key}</Key><Size>${state.objects.get(key)!.content.length}</Size></Contents>`);
  const next = from + 2 < keys.length ? `<NextContinuationToken>${from + 2}</NextContinuationToken>` : '';
  return { status: 200, body: `<ListBucketResult>${items.join('')}${next}</ListBucketResult>` };
}
