import type { ChatBody } from '../../routes/gateway.ts';
import type { ChatRequest } from '../../routes/schema/chat.ts';
import type { OriginConfig } from '../config.ts';
import { Deadline } from './deadline.ts';
import { badResponse, broken, errorOfResponse, timedOut, unreachable } from './failure.ts';
import { passThrough } from './stream.ts';
import { countedUsage, estimateTokens } from './usage.ts';

export interface OriginCall {
  request: ChatRequest;
  /** The request's id, passed on as x-request-id. */
  id: string;
  /** The client's signal. */
  signal: AbortSignal;
  /** UTF-8 bytes of the prompt, for a usage that the origin does not report. */
  promptBytes: number;
  fetch?: typeof fetch;
}

/**
 * Asks the origin. Resolves when a stream's first event is there, or with the whole body otherwise. Throws `OriginFailure` when another route may be tried,
 * a plain `ApiError` when the request itself is at fault, and the signal's reason when the client left.
 */
export async function callOrigin(origin: OriginConfig, call: OriginCall): Promise<ChatBody> {
  const deadline = new Deadline(call.signal);
  try {
    return call.request.stream ? await openStream(origin, call, deadline) : await fetchWhole(origin, call, deadline);
  } catch (error) {
    deadline.end();
    throw error;
  }
}

async function openStream(origin: OriginConfig, call: OriginCall, deadline: Deadline): Promise<ChatBody> {
  const { timeouts } = origin;
  const startedAt = Date.now();
  const gotHeaders = deadline.limit(timeouts.headers, () => timedOut('start to answer', timeouts.headers));
  const response = await post(origin, call, deadline);
  gotHeaders();
  if (!response.body || !/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) {
    throw badResponse('something other than an event stream');
  }
  const usageFor = call.request.includeUsage ? { promptTokens: estimateTokens(call.promptBytes) } : null;
  const events = passThrough(response.body, { deadline, timeouts, startedAt, usageFor });
  const first = await events.next();
  return { type: 'sse', events: first.done ? events : resume(first.value, events) };
}

async function fetchWhole(origin: OriginConfig, call: OriginCall, deadline: Deadline): Promise<ChatBody> {
  deadline.limit(origin.timeouts.total, () => timedOut('answer', origin.timeouts.total));
  const response = await post(origin, call, deadline);
  const bytes = await readAll(response, deadline);
  deadline.end();
  const completion = parseCompletion(bytes);
  if (completion.usage) return { type: 'json', bytes };
  const usage = countedUsage(estimateTokens(call.promptBytes), estimateTokens(answerBytes(completion)));
  return { type: 'json', bytes: new Uint8Array(new TextEncoder().encode(JSON.stringify({ ...completion, usage }))) };
}

/** The client's request under the origin's model name and with the gateway's key: no header of the client goes along. */
async function post(origin: OriginConfig, call: OriginCall, deadline: Deadline): Promise<Response> {
  const headers = new Headers({ 'content-type': 'application/json', 'x-request-id': call.id });
  headers.set('accept', call.request.stream ? 'text/event-stream' : 'application/json');
  if (origin.key) headers.set('authorization', `Bearer ${origin.key}`);
  const init: RequestInit = {
    method: 'POST',
    headers,
    body: JSON.stringify({ ...call.request.raw, model: origin.model }),
    // A redirect would carry the key to an address nobody configured.
    redirect: 'manual',
    signal: deadline.signal,
  };
  const request = (call.fetch ?? fetch)(`${origin.url}/chat/completions`, init);
  let response: Response;
  try {
    response = await deadline.guard(request);
  } catch (error) {
    throw deadline.signal.aborted ? deadline.signal.reason : unreachable(error);
  }
  if (!response.ok) throw await deadline.guard(errorOfResponse(response));
  return response;
}

async function readAll(response: Response, deadline: Deadline): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await deadline.guard(response.arrayBuffer()));
  } catch (error) {
    throw deadline.signal.aborted ? deadline.signal.reason : broken(error);
  }
}

interface Completion {
  choices: { message?: { content?: unknown; reasoning_content?: unknown } }[];
  usage?: unknown;
}

function parseCompletion(bytes: Uint8Array): Completion {
  let completion: unknown;
  try {
    completion = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw badResponse('a body that is not JSON');
  }
  if (!Array.isArray((completion as Completion | null)?.choices)) throw badResponse('JSON that is not a chat completion');
  return completion as Completion;
}

function answerBytes(completion: Completion): number {
  const texts = completion.choices.flatMap(({ message }) => [message?.content, message?.reasoning_content]);
  return new TextEncoder().encode(texts.filter((text) => typeof text === 'string').join('')).length;
}

async function* resume<T>(first: T, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
