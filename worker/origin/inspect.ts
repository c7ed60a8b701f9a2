import { createParser } from 'eventsource-parser';
import type { Adapter, Chunk } from './adapters.ts';
import { badResponse, errorOfEvent } from './failure.ts';
import { UsualEvent } from './usual.ts';

/** Reads a stream's events, tells what to pass on, and keeps what the stream has told so far. */
export class StreamInspector {
  /** `[DONE]` has come. */
  done = false;
  /** The error of an error event. */
  error: unknown = null;
  /** The last usage that the stream carried. */
  usage: object | null = null;
  /** Chunks that carried a part of the answer: about one per token. */
  tokens = 0;
  /** First chunk, for the head of a chunk of our own. */
  first: Chunk | null = null;

  readonly #adapter: Adapter;
  readonly #choices: number;
  readonly #finished = new Set<number>();
  readonly #decoder = new TextDecoder();
  readonly #usual = new UsualEvent();
  readonly #parser = createParser({ onEvent: ({ data, event }) => this.#see(data, event) });
  /** What becomes of the event that is being looked at. */
  #verdict: 'pass' | 'drop' | Chunk = 'pass';
  /** Its data, if it is a token of the only choice and nothing else. */
  #token: string | null = null;

  /** @param choices how many answers were asked for */
  constructor(adapter: Adapter, choices: number) {
    this.#adapter = adapter;
    this.#choices = choices;
  }

  /** Every choice has finished. */
  get finished(): boolean {
    return this.#finished.size >= this.#choices;
  }

  /**
   * Looks at the events that `bytes` begin with, as long as they are a token each and like one that has been looked at before.
   * @returns how many bytes they are: to be passed on as they are. What follows may be the beginning of an event.
   */
  seeUsual(bytes: Uint8Array): number {
    if (this.done || this.error !== null) return 0;
    let seen = 0;
    for (let end = this.#usual.endOf(bytes, 0); end !== -1; end = this.#usual.endOf(bytes, seen)) {
      seen = end;
      this.tokens++;
    }
    return seen;
  }

  /**
   * Looks at one whole event.
   * @returns what to pass on: the same bytes when nothing had to change, null for nothing
   * @throws OriginFailure when it is not what a chat stream consists of
   */
  see(event: Uint8Array): Uint8Array | null {
    const text = this.#decoder.decode(event);
    this.#verdict = this.done || this.error !== null ? 'drop' : 'pass';
    // Older builds of llama-server write errors in a field of their own.
    const foreign = text.startsWith('error:');
    const readable = foreign ? `data: {"error":${text.slice(6).trim()}}\n\n` : text;
    this.#token = null;
    this.#parser.feed(readable);
    if (this.#verdict === 'pass') {
      if (this.#token !== null) this.#usual.learn(text, this.#token);
      return event;
    }
    return this.#verdict === 'drop' ? null : new TextEncoder().encode(`data: ${JSON.stringify(this.#verdict)}\n\n`);
  }

  #see(data: string, name: string | undefined): void {
    if (this.#verdict === 'drop') return;
    if (data.trim() === '[DONE]') {
      this.done = true;
      this.#verdict = 'drop';
      return;
    }
    const chunk = parseChunk(data);
    if (!chunk) {
      // An event of another name is nobody's business; a chunk must be readable.
      if (name === undefined || name === 'message') throw badResponse('an event that is not a JSON object');
      return;
    }
    if (chunk.error !== undefined && chunk.error !== null) this.error = chunk.error;
    else if (name === 'error') this.error = chunk;
    if (this.error !== null) {
      // Servers leave out what they do not know; clients look for all of OpenAI's four fields.
      this.#verdict = { ...errorOfEvent(this.error, this.#adapter).body() };
      return;
    }
    this.first ??= chunk;
    if (chunk.usage) this.usage = chunk.usage;
    const changed = this.#adapter.chunk(chunk);
    const tokens = this.tokens;
    if (this.#seeChoices(chunk)) this.#verdict = 'drop';
    else if (changed) this.#verdict = chunk;
    const plain = this.tokens > tokens && !chunk.usage && chunk.choices?.length === 1 && !chunk.choices[0]!.finish_reason;
    if (plain && name === undefined) this.#token = data;
  }

  /** Returns whether it is a finish that has been seen already, and nothing else. */
  #seeChoices(chunk: Chunk): boolean {
    const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
    const token = choices.some((choice) => hasToken(choice?.delta));
    if (token) this.tokens++;
    const finishing = choices.filter((choice) => choice?.finish_reason);
    const repeated = finishing.length > 0 && finishing.every((choice) => this.#finished.has(choice.index ?? 0));
    for (const choice of finishing) this.#finished.add(choice.index ?? 0);
    return repeated && !token && !chunk.usage;
  }
}

function parseChunk(data: string): Chunk | null {
  try {
    const chunk = JSON.parse(data);
    return typeof chunk === 'object' && chunk !== null ? chunk : null;
  } catch {
    return null;
  }
}

/** Text, thinking or a tool call: a delta with the role alone is no token yet. */
function hasToken(delta: Record<string, unknown> | null | undefined): boolean {
  return Boolean(
    delta &&
      (delta.content ||
        delta.reasoning_content ||
        delta.reasoning ||
        delta.refusal ||
        (Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0) ||
        delta.function_call ||
        delta.audio),
  );
}
