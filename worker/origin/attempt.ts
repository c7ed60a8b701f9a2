import type { ChatBody } from '../../routes/gateway.ts';
import type { ChatRequest } from '../../routes/schema/chat.ts';
import { type Adapter, adapters, type Chunk } from './adapters.ts';
import { Deadline, type TimeLimit } from './deadline.ts';
import { badResponse, broken, errorOfEvent, errorOfResponse, errorText, OriginFailure, timedOut, unreachable } from './failure.ts';
import type { EndpointConfig, OriginTimeouts } from './pool-config.ts';
import { readBody } from './read-body.ts';
import { OriginStream } from './stream.ts';
import { countedUsage, estimateTokens, type TokenCounts, tokenCounts } from './usage.ts';

export interface OriginCall {
  request: ChatRequest;
  /** The request's id, passed on as x-request-id. */
  id: string;
  /** The client's signal. */
  signal: AbortSignal;
  /** UTF-8 bytes of the prompt, for a usage that the origin does not report. */
  promptBytes: number;
  /** The client asked for thinking. */
  thinking: boolean;
  /** When the request as a whole must be over, whoever is asked; null or absent where the pool's own time is all there is. */
  limit?: TimeLimit | null;
  /** Regions whose endpoints may be asked; null or absent for all. */
  regions?: string[] | null;
  /** Told like `AttemptEvents.onEnd`, of each attempt whose answer has begun. */
  onEnd?(used: TokenCounts, complete: boolean): void;
}

/** Told about an attempt while it goes on. */
export interface AttemptEvents {
  onFirstToken(): void;
  /** An answer has ended, complete or not, and has used so much. Not called for an attempt that fails before its answer begins. */
  onEnd(used: TokenCounts, complete: boolean): void;
}

/** What an attempt works with. */
export interface Attempt {
  endpoint: EndpointConfig;
  timeouts: OriginTimeouts;
  /** When all attempts together must be over: by the pool's `timeouts.total`, or that of the whole request. */
  limit: TimeLimit;
  call: OriginCall;
  /** Ends this attempt; follows the client's signal. */
  signal: AbortSignal;
  events: AttemptEvents;
  fetch: typeof fetch;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** A whole answer longer than this is not one. */
const maxAnswerBytes = 64 * 1024 * 1024;

/**
 * Asks one endpoint, once. Resolves when a stream's first token is there, or with the whole body otherwise. Throws `OriginFailure` when another endpoint or
 * route may be tried, a plain `ApiError` when the request itself is at fault, and the signal's reason when the client left.
 */
export async function attempt(work: Attempt): Promise<ChatBody> {
  const deadline = new Deadline(work.signal);
  try {
    deadline.limit(Math.max(0, work.limit.endsAt - Date.now()), () => timedOut('answer', work.limit.ms));
    return work.call.request.stream ? await openStream(work, deadline) : await fetchWhole(work, deadline);
  } catch (error) {
    deadline.end();
    throw error;
  }
}

async function openStream(work: Attempt, deadline: Deadline): Promise<ChatBody> {
  const { call, timeouts, events } = work;
  const adapter = adapters[work.endpoint.kind];
  const promptTokens = estimateTokens(call.promptBytes);
  const prefillMs = (timeouts.perThousandTokens * promptTokens) / 1000;
  const headersMs = timeouts.headers + prefillMs;
  const firstTokenMs = (call.thinking ? timeouts.thinkingFirstToken : timeouts.firstToken) + prefillMs;
  const gotHeaders = deadline.limit(headersMs, () => timedOut('start to answer', headersMs));
  const gotToken = deadline.limit(firstTokenMs, () => timedOut('send a first token', firstTokenMs));
  const response = await post(work, adapter, deadline, gotHeaders);
  if (!response.body || !/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) {
    throw await deadline.guard(notAStream(response, adapter));
  }
  const stream = new OriginStream(response.body, {
    deadline,
    adapter,
    idleMs: timeouts.idle,
    choices: call.request.body.n ?? 1,
    promptTokens,
    includeUsage: call.request.includeUsage,
    onFirstToken: () => {
      gotToken();
      events.onFirstToken();
    },
    onEnd: events.onEnd,
  });
  await stream.begin();
  return { type: 'sse', events: stream };
}

async function fetchWhole(work: Attempt, deadline: Deadline): Promise<ChatBody> {
  const adapter = adapters[work.endpoint.kind];
  const response = await post(work, adapter, deadline, () => {});
  const bytes = await readAll(response, deadline);
  deadline.finish();
  const completion = parseCompletion(bytes, adapter);
  const changed = adapter.chunk(completion);
  const reported = tokenCounts(completion.usage);
  const counted = reported ?? estimatedCounts(work.call.promptBytes, completion);
  work.events.onEnd(counted, true);
  if (completion.usage && !changed) return { type: 'json', bytes };
  completion.usage ??= countedUsage(counted.promptTokens, counted.completionTokens ?? 0);
  return { type: 'json', bytes: new Uint8Array(new TextEncoder().encode(JSON.stringify(completion))) };
}

/** The client's request under the endpoint's model name and with its key: no header of the client goes along. */
async function post({ endpoint, call, fetch }: Attempt, adapter: Adapter, deadline: Deadline, onHeaders: () => void): Promise<Response> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'x-request-id': call.id,
    'accept-encoding': 'identity',
    accept: call.request.stream ? 'text/event-stream' : 'application/json',
  };
  if (endpoint.key) headers.authorization = `Bearer ${endpoint.key}`;
  const init: RequestInit = {
    method: 'POST',
    headers,
    body: JSON.stringify(adapter.request({ ...call.request.raw, model: endpoint.model })),
    // A redirect would carry the key to an address nobody configured.
    redirect: 'manual',
    signal: deadline.signal,
  };
  let response: Response;
  try {
    response = await deadline.guard(fetch(`${endpoint.url}/chat/completions`, init));
  } catch (error) {
    throw deadline.signal.aborted ? deadline.signal.reason : unreachable(error);
  }
  onHeaders();
  if (!response.ok) throw await deadline.guard(errorOfResponse(response, adapter));
  return response;
}

/** A stream was asked for. An error object with status 200 is at least an error; anything else is not understood. */
async function notAStream(response: Response, adapter: Adapter): Promise<Error> {
  if (!/json/i.test(response.headers.get('content-type') ?? '')) return badResponse('something other than an event stream');
  const said = parseJson(await errorText(response)) as { error?: unknown } | null;
  const error = said?.error;
  return error ? errorOfEvent(error, adapter) : badResponse('a JSON body instead of an event stream');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function readAll(response: Response, deadline: Deadline): Promise<Uint8Array<ArrayBuffer>> {
  const { headers } = response;
  const announced = Number(headers.get('content-length') ?? Number.NaN);
  // Unpacked, it may be longer than announced.
  const isBounded = announced <= maxAnswerBytes && !headers.has('content-encoding');
  let left = maxAnswerBytes;
  const take = (bytes: number) => {
    left -= bytes;
    if (left < 0) throw badResponse(`an answer of more than ${maxAnswerBytes} bytes`);
  };
  try {
    // In one go, which is much faster than in chunks. A connection that ends early makes it fail.
    if (isBounded) return new Uint8Array(await deadline.guard(response.arrayBuffer()));
    return await readBody(response, deadline, take);
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw error instanceof OriginFailure ? error : broken(error);
  }
}

function parseCompletion(bytes: Uint8Array, adapter: Adapter): Chunk & { choices: object[] } {
  let completion: Chunk | null;
  try {
    completion = JSON.parse(decoder.decode(bytes));
  } catch {
    throw badResponse('a body that is not JSON');
  }
  if (completion?.error) throw errorOfEvent(completion.error, adapter);
  if (!Array.isArray(completion?.choices) || completion.choices.length === 0) throw badResponse('JSON that is not a chat completion');
  return completion as Chunk & { choices: object[] };
}

function estimatedCounts(promptBytes: number, completion: Chunk): TokenCounts {
  return { promptTokens: estimateTokens(promptBytes), completionTokens: estimateTokens(answerBytes(completion)), estimated: true };
}

function answerBytes(completion: Chunk): number {
  const texts = completion.choices!.flatMap(({ message }) => [message?.content, message?.reasoning_content]);
  return new TextEncoder().encode(texts.filter((text) => typeof text === 'string').join('')).length;
}
