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

/**
 * Passes an origin's stream on: whole events as the bytes they came in where the adapter has nothing to change. What comes before the first token is held back
 * until that is there, so that an origin which fails until then has sent nothing, and another can answer. Only `[DONE]` is withheld, as it is the caller's to
 * write: a stream that ends without a finish, breaks, falls silent or reports an error gets none. Throws `OriginFailure` for these, except after an error event
 * that has been passed on and has told the client already.
 */
export async function* passThrough(body: ReadableStream<Uint8Array>, options: StreamOptions): AsyncGenerator<SseBytes> {
  const { deadline, promptTokens } = options;
  const reader = body.getReader();
  const splitter = new EventSplitter();
  const seen = new StreamInspector(options.adapter, options.choices);
  let held: Uint8Array[] = [];
  let begun = false;
  let complete = false;
  let drained = false;
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    const counted = { promptTokens, completionTokens: seen.tokens, estimated: true };
    options.onEnd(tokenCounts(seen.usage) ?? counted, complete);
  };
  // A stream that nobody reads stays where it is, and does not get to its end.
  deadline.signal.addEventListener('abort', end, { once: true });
  // Waiting for a client that reads slowly is not the origin's fault: only reads count.
  const reading = deadline.limitWaits(options.idleMs, () => timedOut('send anything', options.idleMs));
  try {
    while (!seen.done) {
      const chunk = await readNext(reader, deadline, reading);
      for (const event of chunk === null ? lastEvent(splitter.rest) : splitEvents(splitter, chunk)) {
        const passed = seen.see(event);
        if (passed) held.push(passed);
      }
      if (seen.error !== null && !begun && seen.tokens === 0) throw errorOfEvent(seen.error, options.adapter);
      if (!begun && (seen.tokens > 0 || seen.finished)) options.onFirstToken();
      begun ||= seen.tokens > 0 || seen.finished || byteCount(held) > maxHeldBytes;
      if (begun && held.length > 0) {
        yield { type: 'bytes', bytes: join(held) };
        held = [];
      }
      if (chunk === null) break;
    }
    if (seen.error !== null) return;
    // Without a finish, [DONE] alone does not tell a whole answer from half of one.
    if (!seen.finished || (!seen.done && splitter.rest.length > 0)) throw broken();
    if (options.includeUsage && !seen.usage) yield { type: 'bytes', bytes: usageEvent(seen, promptTokens) };
    complete = true;
    yield { type: 'done' };
    drained = await drain(reader);
  } finally {
    end();
    if (drained) deadline.finish();
    else deadline.end();
  }
}

/** The next bytes, or null at the end. */
async function readNext(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  deadline: Deadline,
  reading: (now: boolean) => void,
): Promise<Uint8Array | null> {
  reading(true);
  try {
    const { done, value } = await deadline.guard(reader.read());
    return done ? null : value;
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw error instanceof OriginFailure ? error : broken(error);
  } finally {
    reading(false);
  }
}

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
  const total = byteCount(events);
  const adjacent = events.every((event, i) => {
    const before = events[i - 1];
    return !before || (event.buffer === before.buffer && event.byteOffset === before.byteOffset + before.length);
  });
  if (adjacent) return new Uint8Array(first.buffer, first.byteOffset, total);
  const bytes = new Uint8Array(total);
  let offset = 0;
  for (const event of events) {
    bytes.set(event, offset);
    offset += event.length;
  }
  return bytes;
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
