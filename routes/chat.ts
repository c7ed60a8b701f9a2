import type { Context, Hono } from 'hono';
import { readJson } from './body.ts';
import { completionChunks, completionHead, completionObject } from './completion.ts';
import { methodNotAllowed, toApiError } from './errors.ts';
import type { ChatAnswer, ChatCall, ChatRoute, Gateway, SseBytes } from './gateway.ts';
import type { AppEnv, AppOptions } from './index.ts';
import { type ChatRequest, parseChatRequest } from './schema/chat.ts';
import { dataEvent, doneEvent, sseHeaders, sseStream } from './sse.ts';

/** POST /v1/chat/completions, streaming and not. */
export function chatRoutes(app: Hono<AppEnv>, gateway: Gateway, options: AppOptions): void {
  app.post('/v1/chat/completions', async (c) => {
    const request = parseChatRequest(await readJson(c.req.raw, options.maxBodyBytes));
    const hangUp = request.stream ? new AbortController() : null;
    const signal = hangUp ? AbortSignal.any([c.req.raw.signal, hangUp.signal]) : c.req.raw.signal;
    const answer = await gateway.chat(request, chatCall(c, signal));
    setRouteHeaders(c, answer);
    if (!hangUp) return c.body(await wholeAnswer(answer, request), 200, { 'content-type': 'application/json' });
    const events = answerEvents(answer, request, (error) => {
      if (!signal.aborted) options.onError(error, c.get('requestId'));
    });
    const stream = sseStream(events, { keepAliveMs: options.keepAliveMs, onCancel: (reason) => hangUp.abort(reason) });
    return c.body(stream, 200, sseHeaders);
  });
  app.all('/v1/chat/completions', methodNotAllowed('POST'));
}

/** What the gateway is told of a call besides its body. */
export function chatCall(c: Context<AppEnv>, signal: AbortSignal): ChatCall {
  const header = (name: string) => c.req.header(name) ?? null;
  const preferences = { policy: header('x-nearside-policy'), maxTtftMs: header('x-nearside-max-ttft-ms') };
  return { id: c.get('requestId'), caller: c.get('caller'), signal, preferences };
}

function setRouteHeaders(c: Context, answer: ChatRoute): void {
  c.header('x-nearside-route', answer.route);
  c.header('x-nearside-reason', answer.reasons.join(', '));
  c.header('x-nearside-model', printable(answer.model));
  c.header('x-nearside-estimate', answer.estimate);
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
