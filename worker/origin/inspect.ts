import { createParser } from 'eventsource-parser';

/** The keys of a chat chunk that are looked at; everything else passes unread. */
interface Chunk {
  id?: unknown;
  created?: unknown;
  model?: unknown;
  error?: unknown;
  usage?: object | null;
  choices?: { delta?: Record<string, unknown> | null; text?: unknown; finish_reason?: unknown }[];
}

/** What a stream has told so far. */
export class StreamInspector {
  /** `[DONE]` has come. */
  done = false;
  /** A choice has finished. */
  finished = false;
  /** The error of an error event. */
  error: unknown = null;
  /** The stream carried its usage. */
  usage = false;
  /** Chunks that carried a part of the answer: about one per token. */
  tokens = 0;
  /** First chunk, for the head of a chunk of our own. */
  first: Chunk | null = null;

  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({ onEvent: (event) => this.#see(event.data, event.event) });

  /** Looks at one whole event. */
  see(event: Uint8Array): void {
    this.#parser.feed(this.#decoder.decode(event));
  }

  #see(data: string, name: string | undefined): void {
    if (data === '[DONE]') {
      this.done = true;
      return;
    }
    const chunk = parseChunk(data);
    if (!chunk) return;
    if (chunk.error !== undefined && chunk.error !== null) this.error = chunk.error;
    else if (name === 'error') this.error = chunk;
    this.first ??= chunk;
    if (chunk.usage) this.usage = true;
    if (!Array.isArray(chunk.choices)) return;
    if (chunk.choices.some((choice) => hasToken(choice?.delta))) this.tokens++;
    if (chunk.choices.some((choice) => choice?.finish_reason)) this.finished = true;
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
        delta.tool_calls ||
        delta.function_call ||
        delta.audio),
  );
}
