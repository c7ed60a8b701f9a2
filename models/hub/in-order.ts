export interface InOrderOptions {
  chunkBytes: number;
  /** Chunks that are fetched, or fetched and waiting for their turn, at a time: memory is at most this times `chunkBytes`. */
  connections: number;
  signal?: AbortSignal;
}

/**
 * Bytes `start` to `end - 1` as consecutive chunks, fetched several at a time. When the caller stops early, what is under way is aborted.
 * @param read fetches one range
 */
export async function* inOrder(
  read: (start: number, length: number, signal: AbortSignal) => Promise<Uint8Array>,
  start: number,
  end: number,
  { chunkBytes, connections, signal }: InOrderOptions,
): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const underWay: Promise<Uint8Array>[] = [];
  let next = start;
  try {
    while (next < end || underWay.length > 0) {
      while (next < end && underWay.length < connections) {
        const chunk = read(next, Math.min(chunkBytes, end - next), either);
        // A failure is thrown when its turn comes; until then nobody listens to it.
        chunk.catch(() => {});
        underWay.push(chunk);
        next += chunkBytes;
      }
      yield await underWay.shift()!;
    }
  } finally {
    stop.abort();
    await Promise.allSettled(underWay);
  }
}
