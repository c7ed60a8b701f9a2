import { readJson } from './body.ts';
import { completionChunks, completionHead, completionObject } from './completion.ts';
import { permission, refuseForeign } from './cors.ts';
import { ApiError, errorResponse, toApiError } from './errors.ts';
import type { ChatAnswer, ChatRoute, Gateway, Preferences, SseBytes } from './gateway.ts';
import type { AppOptions } from './index.ts';
import { requestId } from './request-id.ts';
import { type ChatRequest, parseChatRequest } from './schema/chat.ts';
import { dataEvent, doneEvent, sseHeaders, sseStream } from './sse.ts';

export const chatPath = '/v1/chat/completions';

/** POST /v1/chat/completions, streaming and not, from the request's id to what an error looks like. */
export function chatHandler(gateway: Gateway, options: AppOptions): (request: Request) => Promise<Response> {
  const handle = async (request: Request): Promise<Response> => {
    const id = requestId(request.headers.get('x-request-id'));
    try {
      refuseForeign(request, options.pages);
      const caller = await gateway.authorize(request.headers.get('authorization'));
      return await respond(request, { id, caller }, gateway, options);
    } catch (error) {
      if (!(error instanceof ApiError) && !request.signal.aborted) options.onError(error, id);
      return errorResponse(toApiError(error), id);
    }
  };
  return async (request) => {
    const allowed = permission(request, options.pages);
    const response = await handle(request);
    for (const name in allowed) response.headers.set(name, allowed[name]!);
    return response;
  };
}

async function respond(http: Request, who: { id: string; caller: string }, gateway: Gateway, options: AppOptions): Promise<Response> {
  const request = parseChatRequest(await readJson(http, options.maxBodyBytes));
  const hangUp = request.stream ? new AbortController() : null;
  const signal = hangUp ? AbortSignal.any([http.signal, hangUp.signal]) : http.signal;
  const answer = await gateway.chat(request, { ...who, signal, preferences: preferencesOf(http.headers) });
  const headers = { 'x-request-id': who.id, ...routeHeaders(answer) };
  if (!hangUp) return new Response(await wholeAnswer(answer, request), { headers: { ...headers, 'content-type': 'application/json' } });
  const events = answerEvents(answer, request, (error) => {
    if (!signal.aborted) options.onError(error, who.id);
  });
  const stream = sseStream(events, { keepAliveMs: options.keepAliveMs, onCancel: (reason) => hangUp.abort(reason) });
  return new Response(stream, { headers: { ...headers, ...sseHeaders } });
}

/** What a client wishes for, by its headers. */
export function preferencesOf(headers: Headers): Preferences {
  return { policy: headers.get('x-nearside-policy'), maxTtftMs: headers.get('x-nearside-max-ttft-ms') };
}

function routeHeaders(answer: ChatRoute): Record<string, string> {
  return {
    'x-nearside-route': answer.route,
    'x-nearside-reason': answer.reasons.join(', '),
    'x-nearside-model': printable(answer.model),
    'x-nearside-estimate': answer.estimate,
  };
}

/** A pack may be called anything; a header, or a line of a stream, may not. */
const printable = (name: string): string => name.replace(/[^\x20-\x7e]/g, '?');

async function wholeAnswer(answer: ChatAnswer, request: ChatRequest): Promise<string | Uint8Array<ArrayBuffer>> {
  if (answer.body.type === 'json') return answer.body.bytes;
  if (answer.body.type !== 'events') throw new Error('a streamed answer to a request that did not ask for one');
  return JSON.stringify(await completionObject(completionHead(answer), answer.body.events, request.body.logprobs === true));
}

/** What an answer is written as: events, or their bytes. */
type Written = string | Uint8Array;

/** The answer as server-sent events, the last of them by the iterator that is returned. Ends with `[DONE]` or, when something broke on the way, with an error event and no `[DONE]`. */
async function* answerEvents(
  begun: ChatAnswer,
  request: ChatRequest,
  onError: (error: unknown) => void,
): AsyncGenerator<Written, AsyncIterator<Written> | undefined> {
  try {
    const answer = begun.body.type === 'late' ? await begun.body.answer : begun;
    // Headers that have left cannot be changed: a comment says who answers instead.
    if (answer.model !== begun.model) yield `: ${printable(answer.model)}: ${answer.reasons.join(', ')}\n\n`;
    if (answer.body.type === 'late') throw new Error('a late answer to a late answer');
    if (answer.body.type === 'json') throw new Error('a whole answer to a request for a stream');
    if (answer.body.type === 'sse') return passOn(answer.body.events[Symbol.asyncIterator](), onError);
    const chunks = completionChunks(completionHead(answer), answer.body.events, request.includeUsage, request.body.logprobs === true);
    for await (const chunk of chunks) yield dataEvent(chunk);
    yield doneEvent;
  } catch (error) {
    onError(error);
    yield dataEvent(toApiError(error).body());
  }
  return undefined;
}

/** An origin's events. No generator: it does the same little for every token. */
function passOn(events: AsyncIterator<SseBytes>, onError: (error: unknown) => void): AsyncIterator<Written> {
  let failed = false;
  const pass = ({ done, value }: IteratorResult<SseBytes>): IteratorResult<Written> =>
    done ? { done, value } : { done: false, value: value.type === 'done' ? doneEvent : value.bytes };
  const fail = (error: unknown): IteratorResult<Written> => {
    failed = true;
    onError(error);
    return { done: false, value: dataEvent(toApiError(error).body()) };
  };
  return {
    next: () => (failed ? Promise.resolve({ done: true, value: undefined }) : events.next().then(pass, fail)),
    return: async () => {
      await events.return?.();
      return { done: true, value: undefined };
    },
  };
}
