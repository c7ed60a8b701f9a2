import { concat } from '../../routes/concat.ts';
import type { SseBytes } from '../../routes/gateway.ts';
import { within } from '../../routes/within.ts';
import type { Adapter } from './adapters.ts';
import type { Deadline } from './deadline.ts';
import { badResponse, broken, errorOfEvent, OriginFailure, timedOut } from './failure.ts';
import { StreamInspector } from './inspect.ts';
import { EventSplitter } from './split.ts';
import { countedUsage, type TokenCounts, tokenCounts } from './usage.ts';

export interface StreamOptions {
  deadline: Deadline;
  adapter: Adapter;
  /** Longest silence, milliseconds. */
  idleMs: number;
  /** How many answers were asked for. */
  choices: number;
  /** The prompt has about so many tokens. */
  promptTokens: number;
  /** The client asked for usage. */
  includeUsage: boolean;
  /** The first token is there. */
  onFirstToken: () => void;
  /** Called once, whatever the end and whether or not anyone reads: what it has used so far, and whether the answer is complete. */
  onEnd: (used: TokenCounts, complete: boolean) => void;
}

/** How long to wait for the connection's own end after `[DONE]`, so that a finished call does not look like an aborted one to the origin. */
const drainMs = 100;

/** A prelude longer than this is not held back until the first token. */
const maxHeldBytes = 65_536;

type Next = IteratorResult<SseBytes, undefined>;

/**
 * Passes an origin's stream on: whole events as the bytes they came in where the adapter has nothing to change. What comes before the first token is held back
 * until that is there, so that an origin which fails until then has sent nothing, and another can answer. Only `[DONE]` is withheld, as it is the caller's to
 * write: a stream that ends without a finish, breaks, falls silent or reports an error gets none. Throws `OriginFailure` for these, except after an error event
 * that has been passed on and has told the client already.
 *
 * It is no generator, as it does the same for every token: a layer of generators costs more than looking at a token does.
 */
export class OriginStream implements AsyncIterableIterator<SseBytes, undefined> {
  readonly #options: StreamOptions;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #splitter = new EventSplitter();
  readonly #seen: StreamInspector;
  readonly #reading: (now: boolean) => void;
  #held: Uint8Array[] = [];
  #begun = false;
  #complete = false;
  #ended = false;
  /** The first answer, until it is asked for. */
  #first: Next | null = null;
  /** What comes after the origin's last event. */
  #last: AsyncGenerator<SseBytes, undefined> | null = null;
  /** Somebody waits, to be told by these. */
  #waiting = false;
  #resolve: (next: Next | Promise<Next>) => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  /** What went wrong while nobody waited, for whoever asks next. */
  #failure: { reason: unknown } | null = null;

  constructor(body: ReadableStream<Uint8Array>, options: StreamOptions) {
    const { deadline, adapter, choices, idleMs } = options;
    this.#options = options;
    this.#reader = body.getReader();
    this.#seen = new StreamInspector(adapter, choices);
    // A stream that nobody reads stays where it is, and does not get to its end.
    deadline.signal.addEventListener('abort', () => this.#ended || this.#fail(deadline.signal.reason), { once: true });
    // Waiting for a client that reads slowly is not the origin's fault: only reads count.
    this.#reading = deadline.limitWaits(idleMs, () => timedOut('send anything', idleMs));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Resolves when the first token is there, or the end. Throws like `next`. */
  async begin(): Promise<void> {
    this.#options.deadline.signal.throwIfAborted();
    this.#first = await this.next();
  }

  next(): Promise<Next> {
    if (this.#first) {
      const first = this.#first;
      this.#first = null;
      return Promise.resolve(first);
    }
    if (this.#last) return this.#last.next();
    if (this.#ended) return this.#afterEnd();
    return new Promise((resolve, reject) => {
      this.#waiting = true;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#read();
    });
  }

  async return(): Promise<Next> {
    this.#first = null;
    this.#failure = null;
    if (this.#last) await this.#last.return(undefined);
    else this.#end(false);
    if (this.#waiting) this.#settle(over);
    return over;
  }

  #afterEnd(): Promise<Next> {
    const failure = this.#failure;
    this.#failure = null;
    return failure ? Promise.reject(failure.reason) : Promise.resolve(over);
  }

  #settle(next: Next | Promise<Next>): void {
    this.#waiting = false;
    this.#resolve(next);
  }

  #read(): void {
    this.#reading(true);
    this.#reader.read().then(this.#onRead, this.#onReadError);
  }

  readonly #onRead = ({ done, value }: ReadableStreamReadResult<Uint8Array>): void => {
    if (this.#ended) return;
    this.#reading(false);
    try {
      const bytes = this.#take(done ? null : value);
      if (done || this.#seen.done) {
        this.#last = this.#finish(bytes);
        this.#settle(this.#last.next());
      } else if (bytes) this.#settle({ done: false, value: { type: 'bytes', bytes } });
      else this.#read();
    } catch (error) {
      this.#fail(error);
    }
  };

  readonly #onReadError = (error: unknown): void => {
    if (!this.#ended) this.#fail(error instanceof OriginFailure ? error : broken(error));
  };

  /** Looks at what has come, null for the end. Returns what may be passed on now. */
  #take(chunk: Uint8Array | null): Uint8Array | null {
    const seen = this.#seen;
    const usual = chunk && this.#splitter.atStart ? seen.seeUsual(chunk) : 0;
    // By far the most frequent.
    if (usual > 0 && usual === chunk!.length && this.#begun && this.#held.length === 0) return chunk;
    if (usual > 0) this.#held.push(chunk!.subarray(0, usual));
    for (const event of chunk === null ? lastEvent(this.#splitter.rest) : splitEvents(this.#splitter, chunk.subarray(usual))) {
      const passed = seen.see(event);
      if (passed) this.#held.push(passed);
    }
    if (!this.#begun) this.#lookForBeginning();
    if (!this.#begun || this.#held.length === 0) return null;
    const bytes = join(this.#held);
    this.#held = [];
    return bytes;
  }

  #lookForBeginning(): void {
    const { error, tokens, finished } = this.#seen;
    if (error !== null && tokens === 0) throw errorOfEvent(error, this.#options.adapter);
    if (tokens > 0 || finished) this.#options.onFirstToken();
    this.#begun = tokens > 0 || finished || byteCount(this.#held) > maxHeldBytes;
  }

  /** Nothing more is expected of the origin: what is left to be passed on, and what it has left out. */
  async *#finish(bytes: Uint8Array | null): AsyncGenerator<SseBytes, undefined> {
    const { includeUsage, promptTokens } = this.#options;
    const seen = this.#seen;
    let drained = false;
    try {
      if (bytes) yield { type: 'bytes', bytes };
      if (seen.error !== null) return;
      // Without a finish, [DONE] alone does not tell a whole answer from half of one.
      if (!seen.finished || (!seen.done && !this.#splitter.atStart)) throw broken();
      if (includeUsage && !seen.usage) yield { type: 'bytes', bytes: usageEvent(seen, promptTokens) };
      this.#complete = true;
      yield { type: 'done' };
      drained = await drain(this.#reader);
    } finally {
      this.#end(drained);
    }
  }

  #fail(reason: unknown): void {
    if (this.#waiting) this.#reject(reason);
    else this.#failure ??= { reason };
    this.#waiting = false;
    this.#end(false);
  }

  /** @param drained the connection has ended by itself */
  #end(drained: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    const { deadline, promptTokens, onEnd } = this.#options;
    const counted = { promptTokens, completionTokens: this.#seen.tokens, estimated: true };
    onEnd(tokenCounts(this.#seen.usage) ?? counted, this.#complete);
    if (drained) deadline.finish();
    else deadline.end();
  }
}

const over = { done: true, value: undefined } as const;

function splitEvents(splitter: EventSplitter, chunk: Uint8Array): Uint8Array[] {
  try {
    return splitter.push(chunk);
  } catch (error) {
    throw badResponse(`a stream that cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** What is left at the end of the stream counts if it is an unterminated `[DONE]`: some servers leave out the last line end. */
function lastEvent(rest: Uint8Array): Uint8Array[] {
  const text = new TextDecoder().decode(rest).trim();
  return /^data: ?\[DONE\]$/.test(text) ? [new TextEncoder().encode('data: [DONE]\n\n')] : [];
}

function byteCount(events: Uint8Array[]): number {
  return events.reduce((sum, event) => sum + event.length, 0);
}

/** One run of bytes; without copying where the events lie one behind the other in what was received. */
function join(events: Uint8Array[]): Uint8Array {
  const first = events[0]!;
  const adjacent = events.every((event, i) => {
    const before = events[i - 1];
    return !before || (event.buffer === before.buffer && event.byteOffset === before.byteOffset + before.length);
  });
  if (adjacent) return new Uint8Array(first.buffer, first.byteOffset, byteCount(events));
  return concat(events);
}

function usageEvent(seen: StreamInspector, promptTokens: number): Uint8Array {
  const { id, created, model } = seen.first ?? {};
  const chunk = { id, object: 'chat.completion.chunk', created, model, choices: [], usage: countedUsage(promptTokens, seen.tokens) };
  return new TextEncoder().encode(`data: ${JSON.stringify(chunk)}\n\n`);
}

/** Whether the connection has ended by itself in time. */
async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<boolean> {
  const ended = async () => {
    while (!(await reader.read()).done);
    return true;
  };
  // The answer is complete: how the connection ends no longer matters.
  const inTime = await within(
    ended().catch(() => true),
    drainMs,
  );
  return inTime === true;
}
