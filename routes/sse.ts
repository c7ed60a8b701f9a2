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
 * `events` must not throw. An iterator that it returns goes on in its place, so that its generator is not in the way of every token.
 */
export function sseStream(events: AsyncIterable<Written, unknown>, options: SseOptions): ReadableStream<Uint8Array> {
  // Nothing is made ahead of the reader.
  return new ReadableStream(new SseSource(events[Symbol.asyncIterator](), options), { highWaterMark: 0 });
}

type Written = string | Uint8Array;

/** Its functions are made once a stream and not once an event, and one timer does for all waits: both would cost more than all else that a token does. */
class SseSource implements UnderlyingSource<Uint8Array> {
  readonly #options: SseOptions;
  #events: AsyncIterator<Written, unknown>;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  /** Since when an event is waited for; null when none is. */
  #since: number | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #over = false;

  constructor(events: AsyncIterator<Written, unknown>, options: SseOptions) {
    this.#events = events;
    this.#options = options;
  }

  /** Not called again before the returned promise is resolved: one that returned at once would be called twice for every event. */
  pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const begins = this.#controller === null;
    this.#controller = controller;
    this.#since = begins ? 0 : Date.now();
    this.#timer ??= setTimeout(this.#look, begins ? 0 : this.#options.keepAliveMs);
    return this.#events.next().then(this.#write, this.#fail);
  }

  cancel(reason: unknown): void {
    this.#end();
    this.#options.onCancel(reason);
    this.#events.return?.().catch(() => {});
  }

  readonly #write = ({ done, value }: IteratorResult<Written, unknown>): void | Promise<void> => {
    if (this.#over) return;
    if (done && value) {
      this.#events = value as AsyncIterator<Written>;
      return this.#events.next().then(this.#write, this.#fail);
    }
    // The timer of the first wait.
    if (this.#since === 0) this.#stopTimer();
    this.#since = null;
    if (!done) return this.#controller!.enqueue(typeof value === 'string' ? encoder.encode(value) : value);
    this.#end();
    this.#controller!.close();
  };

  readonly #fail = (error: unknown): void => {
    if (this.#over) return;
    this.#end();
    this.#controller!.error(error);
  };

  readonly #look = (): void => {
    this.#timer = null;
    // The next wait sets the timer again.
    if (this.#since === null) return;
    const now = Date.now();
    const left = this.#since + this.#options.keepAliveMs - now;
    if (left <= 0) {
      this.#since = now;
      // One that has not been read yet is enough.
      if (this.#controller!.desiredSize === 0) this.#controller!.enqueue(encoder.encode(': keep-alive\n\n'));
    }
    this.#timer = setTimeout(this.#look, left > 0 ? left : this.#options.keepAliveMs);
  };

  #end(): void {
    this.#over = true;
    this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
