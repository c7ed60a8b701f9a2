import { concat } from './concat.ts';
import { ApiError } from './errors.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
const jsonType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

/**
 * How deep values may lie, and how many there may be in all objects and arrays together: what follows the parser takes microseconds for each value, during which all
 * other streams wait, and what works recursively ends where the stack does. A conversation of thousands of turns has some ten thousand.
 */
const deepest = 100;
const mostValues = 100_000;

/**
 * Reads a request's JSON body. The limit holds whatever Content-Length says; without one, reading stops at the first byte too many.
 * Throws 415 for another content type and for a body that is compressed, 413 over `maxBytes`, 400 for anything that is not JSON in UTF-8, breaks off, is nested too
 * deeply or has too many values, and the signal's reason when the client has left.
 */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const contentType = request.headers.get('content-type') ?? '';
  if (!jsonType.test(contentType)) {
    throw new ApiError(
      415,
      'unsupported_media_type',
      `Send the body as application/json, not ${contentType ? `'${contentType}'` : 'without a Content-Type'}.`,
    );
  }
  const encoding = request.headers.get('content-encoding') ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    const headers = { 'accept-encoding': 'identity' };
    throw new ApiError(415, 'unsupported_media_type', `Send the body as it is, not with Content-Encoding '${encoding}'.`, { headers });
  }
  const announced = request.headers.get('content-length');
  if (Number(announced ?? 0) > maxBytes) throw tooLarge(maxBytes);
  // No HTTP body is longer than its Content-Length says, and to read it in one go is much faster than in chunks.
  const bytes = await (announced === null ? readChunks(request, maxBytes) : request.arrayBuffer()).catch((error: unknown) => {
    throw brokenOff(request, error);
  });
  if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes);
  const body = parse(bytes);
  checkExtent(body);
  return body;
}

function parse(bytes: Uint8Array | ArrayBuffer): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new ApiError(400, 'invalid_json', 'The body is not valid JSON in UTF-8.');
  }
}

/** Level by level, as a recursion would end where it is to find the end. */
function checkExtent(body: unknown): void {
  let values = 0;
  let level: unknown[] = typeof body === 'object' && body !== null ? [body] : [];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) throw new ApiError(400, 'invalid_request', `The body is nested deeper than ${deepest} levels, the limit here.`);
    const below: unknown[] = [];
    for (const value of level) {
      const items: unknown[] = Array.isArray(value) ? value : Object.values(value as object);
      values += items.length;
      if (values > mostValues) throw new ApiError(400, 'invalid_request', `The body has more than ${mostValues} values, the limit here.`);
      for (const item of items) if (typeof item === 'object' && item !== null) below.push(item);
    }
    level = below;
  }
}

async function readChunks(request: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Cancelled, a body would leave its connection unread in Node, and a client that writes all of it first would never read the refusal.
  for await (const chunk of request.body?.values({ preventCancel: true }) ?? []) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return concat(chunks);
}

/** What reading has thrown is about the connection, and nobody's fault here. */
function brokenOff({ signal }: Request, error: unknown): unknown {
  if (error instanceof ApiError) return error;
  return signal.aborted ? signal.reason : new ApiError(400, 'invalid_request', 'The body broke off before its end.', { cause: error });
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError(413, 'request_too_large', `The body is larger than ${maxBytes} bytes, the limit of this gateway.`);
}
