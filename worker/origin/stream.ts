import type { SseBytes } from '../../routes/gateway.ts';
import { within } from '../../routes/within.ts';
import type { OriginTimeouts } from '../config.ts';
import type { Deadline } from './deadline.ts';
import { badResponse, broken, errorOfEvent, OriginFailure, timedOut } from './failure.ts';
import { StreamInspector } from './inspect.ts';
import { EventSplitter } from './split.ts';
import { countedUsage } from './usage.ts';

export interface StreamOptions {
  deadline: Deadline;
  timeouts: OriginTimeouts;
  /** When the request was sent, milliseconds. */
  startedAt: number;
  /** The client asked for usage and its prompt has about so many tokens; null when it did not ask. */
  usageFor: { promptTokens: number } | null;
}

/** How long to wait for the connection's own end after `[DONE]`, so that a finished call does not look like an aborted one to the origin. */
const drainMs = 100;

/**
 * Passes an origin's stream on: whole events as the bytes they came in, looked at on the side. Only `[DONE]` is withheld, as it is the caller's to write:
 * a stream that ends without a finish, breaks, falls silent or reports an error gets none. Throws `OriginFailure` for these, except after an error event,
 * which has told the client already.
 */
export async function* passThrough(body: ReadableStream<Uint8Array>, options: StreamOptions): AsyncGenerator<SseBytes> {
  const { deadline, timeouts, startedAt, usageFor } = options;
  const reader = body.getReader();
  const splitter = new EventSplitter();
  const seen = new StreamInspector();
  let awaitToken: (() => void) | null = deadline.limit(Math.max(1, timeouts.firstToken - (Date.now() - startedAt)), () =>
    timedOut('send a first token', timeouts.firstToken),
  );
  try {
    while (!seen.done) {
      const chunk = await readWithin(reader, deadline, timeouts.idle);
      const events = chunk === null ? lastEvent(splitter.rest) : splitEvents(splitter, chunk);
      const anythingSent = seen.first !== null;
      const passed = events.filter((event) => {
        seen.see(event);
        return !seen.done;
      });
      // Nothing but an error: the caller may still answer otherwise.
      if (seen.error !== null && !anythingSent && seen.tokens === 0) throw errorOfEvent(seen.error);
      if (awaitToken && (seen.tokens > 0 || seen.finished)) {
        awaitToken();
        awaitToken = null;
      }
      if (passed.length > 0) yield { type: 'bytes', bytes: join(passed) };
      if (chunk === null) break;
    }
    if (seen.error !== null) return;
    if (!seen.done && !(seen.finished && splitter.rest.length === 0)) throw broken();
    if (usageFor && !seen.usage) yield { type: 'bytes', bytes: usageEvent(seen, usageFor.promptTokens) };
    yield { type: 'done' };
    await drain(reader);
  } finally {
    deadline.end();
  }
}

/** The next bytes, or null at the end. */
async function readWithin(reader: ReadableStreamDefaultReader<Uint8Array>, deadline: Deadline, idleMs: number): Promise<Uint8Array | null> {
  const stop = deadline.limit(idleMs, () => timedOut('send anything', idleMs));
  try {
    const { done, value } = await deadline.guard(reader.read());
    return done ? null : value;
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw error instanceof OriginFailure ? error : broken(error);
  } finally {
    stop();
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

function join(events: Uint8Array[]): Uint8Array {
  if (events.length === 1) return events[0]!;
  const bytes = new Uint8Array(events.reduce((sum, event) => sum + event.length, 0));
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

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const ended = async () => {
    while (!(await reader.read()).done);
  };
  // The answer is complete: how the connection ends no longer matters.
  await within(
    ended().catch(() => {}),
    drainMs,
  );
}
