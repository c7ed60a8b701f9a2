import { within } from '../../routes/within.ts';
import { ndjsonLines } from './ndjson.ts';
import type { EdgeEvent } from './protocol.ts';

type Delta = Extract<EdgeEvent, { type: 'delta' }>;

export interface EventWriterOptions {
  /** Longest wait for a reader that stays connected and does not read, milliseconds. */
  stallMs: number;
  /** Text that comes sooner after the last than that goes out with what follows, milliseconds. 0: all goes out as it comes. */
  paceMs: number;
  /** Called when it was longer. */
  onStall: () => void;
  /** Milliseconds. */
  now: () => number;
}

/** Writes an answer's events as lines: the first text at once, then all of the next `paceMs` together. Tokens that take longer go out one by one. */
export class EventWriter {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #options: EventWriterOptions;
  #held: Delta | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(writer: WritableStreamDefaultWriter<Uint8Array>, options: EventWriterOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  /** Resolves when there is room for more: at once, unless the reader is slow. */
  async write(event: EdgeEvent): Promise<void> {
    const early = event.type === 'delta' ? this.#lastAt + this.#options.paceMs - this.#options.now() : 0;
    if (event.type === 'delta') this.#held = this.#held ? joined(this.#held, event) : event;
    const { stallMs, onStall } = this.#options;
    const room = (this.#writer.desiredSize ?? 0) > 0 || (await within(isReady(this.#writer), stallMs));
    if (!room) return onStall();
    if (early > 0) this.#timer ??= setTimeout(() => this.#send(), early);
    else this.#send(event.type === 'delta' ? null : event);
  }

  /** There is no more to come. Never throws. */
  async close(): Promise<void> {
    this.#send();
    await this.#writer.close().catch(() => {});
  }

  /** Writes what is held back, and `event` after it. */
  #send(event: EdgeEvent | null = null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#held) this.#lastAt = this.#options.now();
    const lines = [this.#held, event].filter((line) => line !== null);
    this.#held = null;
    if (lines.length > 0) this.#writer.write(ndjsonLines(...lines)).catch(() => {});
  }
}

const isReady = (writer: WritableStreamDefaultWriter): Promise<true> => writer.ready.then(() => true);

/** What two deltas say, as one. */
function joined(before: Delta, after: Delta): Delta {
  const text = (a = '', b = '') => a + b || undefined;
  const content = text(before.content, after.content);
  const reasoning = text(before.reasoning, after.reasoning);
  const logprobs = before.logprobs || after.logprobs ? [...(before.logprobs ?? []), ...(after.logprobs ?? [])] : undefined;
  return {
    type: 'delta',
    ...(content && { content }),
    ...(reasoning && { reasoning }),
    tokens: after.tokens,
    ...(logprobs && { logprobs }),
  };
}
