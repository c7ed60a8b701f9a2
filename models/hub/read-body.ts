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

function withinIdle(what: string, reader: ReadableStreamDefaultReader<Uint8Array>, idleMs: number) {
  let timer: ReturnType<typeof setTimeout>;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TransferError(`${what}: nothing came for ${idleMs / 1000} seconds.`)), idleMs);
  });
  return Promise.race([reader.read(), idle]).finally(() => clearTimeout(timer));
}
