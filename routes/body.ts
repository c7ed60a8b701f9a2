import { concat } from './concat.ts';
import { ApiError } from './errors.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
const jsonType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

/**
 * Reads a request's JSON body. The limit holds whatever Content-Length says; without one, reading stops at the first byte too many.
 * Throws 415 for another content type and for a body that is compressed, 413 over `maxBytes`, 400 for anything that is not JSON in UTF-8 or breaks off, and the
 * signal's reason when the client has left.
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
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new ApiError(400, 'invalid_json', 'The body is not valid JSON in UTF-8.');
  }
}

async function readChunks(request: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
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
