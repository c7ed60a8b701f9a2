import { ModelError } from '../model-error.ts';
import { reasonOf } from './request.ts';
import { TransferError } from './transfer-error.ts';

/**
 * Reads a body into `into`, which must be exactly as long. Throws `TransferError` when the body is shorter or longer, breaks, or brings nothing for `idleMs`.
 * @param onBytes told of every arrival, so that a caller knows what `into` holds when this throws
 */
export async function readBody(
  what: string,
  response: Response,
  into: Uint8Array,
  idleMs: number,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (!response.body) throw new TransferError(`${what}: the server sent no content.`);
  const reader = response.body.getReader();
  let filled = 0;
  try {
    for (;;) {
      const { done, value } = await withinIdle(what, reader, idleMs);
      signal?.throwIfAborted();
      if (done) break;
      if (filled + value.length > into.length)
        throw new TransferError(`${what}: the server sent more than the ${into.length} bytes asked for.`);
      into.set(value, filled);
      filled += value.length;
      onBytes(value.length);
    }
  } catch (error) {
    await reader.cancel().catch(() => {});
    signal?.throwIfAborted();
    if (error instanceof TransferError) throw error;
    throw new TransferError(`${what}: the connection broke after ${filled} of ${into.length} bytes (${reasonOf(error)}).`, {
      cause: error,
    });
  }
  if (filled < into.length)
    throw new TransferError(`${what}: the server sent ${filled} of ${into.length} bytes and closed the connection.`);
}

/** A list of files, or a manifest, is a thousandth of it. */
const MOST_TEXT_BYTES = 1 << 26;

/** Reads a text of unknown length. Throws `ModelError` for one that goes on and on, and `TransferError` when it breaks or brings nothing for `idleMs`. */
export async function readText(what: string, response: Response, idleMs: number, signal?: AbortSignal): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  try {
    for (
      let next = reader && (await withinIdle(what, reader, idleMs));
      next && !next.done;
      next = await withinIdle(what, reader!, idleMs)
    ) {
      signal?.throwIfAborted();
      length += next.value.length;
      if (length > MOST_TEXT_BYTES)
        throw new ModelError(`${what}: the server sends more than ${MOST_TEXT_BYTES} bytes, which is too much for what it should be.`);
      text += decoder.decode(next.value, { stream: true });
    }
    return text + decoder.decode();
  } catch (cause) {
    await reader?.cancel().catch(() => {});
    signal?.throwIfAborted();
    if (cause instanceof ModelError) throw cause;
    throw new TransferError(`${what}: the connection broke (${reasonOf(cause)}).`, { cause });
  }
}

function withinIdle(what: string, reader: ReadableStreamDefaultReader<Uint8Array>, idleMs: number) {
  let timer: ReturnType<typeof setTimeout>;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TransferError(`${what}: nothing came for ${idleMs / 1000} seconds.`)), idleMs);
  });
  return Promise.race([reader.read(), idle]).finally(() => clearTimeout(timer));
}
