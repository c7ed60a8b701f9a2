import { Patience, within } from './within.ts';

const encoder = new TextEncoder();

/** Headers of a server-sent event stream; nothing on the way may compress or hold it back. */
export const sseHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

export const doneEvent = 'data: [DONE]\n\n';

export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

export interface SseOptions {
  /** A comment is written whenever nothing else was for so long. */
  keepAliveMs: number;
  /** Called once when the client has gone away: stop whatever makes the events. */
  onCancel: (reason: unknown) => void;
}

/**
 * Writes whole events as a byte stream, at the reader's pace. Between them, a comment every `keepAliveMs`: a runtime that notices a closed connection only
 * by a failed write gets one to fail. The first comment is due at once when no event is ready, so that the response head leaves.
 * `events` must not throw.
 */
export function sseStream(events: AsyncIterable<string | Uint8Array>, options: SseOptions): ReadableStream<Uint8Array> {
  const iterator = events[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<string | Uint8Array>> | null = null;
  const patience = new Patience(options.keepAliveMs);
  let begun = false;
  return new ReadableStream(
    {
      async pull(controller) {
        pending ??= iterator.next();
        const next = begun ? await patience.wait(pending) : await within(pending, 0);
        begun = true;
        if (next === null) return controller.enqueue(encoder.encode(': keep-alive\n\n'));
        pending = null;
        if (next.done) {
          patience.stop();
          return controller.close();
        }
        controller.enqueue(typeof next.value === 'string' ? encoder.encode(next.value) : next.value);
      },
      cancel(reason) {
        patience.stop();
        options.onCancel(reason);
        iterator.return?.().catch(() => {});
      },
    },
    // Nothing is made ahead of the reader.
    { highWaterMark: 0 },
  );
}
