import { concat } from './concat.ts';
import { ApiError } from './errors.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
const jsonType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

/**
 * Reads a request's JSON body. The limit holds whatever Content-Length says; without one, reading stops at the first byte too many.
 * Throws 415 for another content type, 413 over `maxBytes`, 400 for anything that is not JSON in UTF-8.
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
  const announced = request.headers.get('content-length');
  if (Number(announced ?? 0) > maxBytes) throw tooLarge(maxBytes);
  // No HTTP body is longer than its Content-Length says, and to read it in one go is much faster than in chunks.
  const bytes = announced === null ? await readChunks(request, maxBytes) : await request.arrayBuffer();
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

function tooLarge(maxBytes: number): ApiError {
  return new ApiError(413, 'request_too_large', `The body is larger than ${maxBytes} bytes, the limit of this gateway.`);
}
