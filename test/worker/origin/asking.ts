import type { ChatBody } from '../../../routes/gateway.ts';
import { parseChatRequest } from '../../../routes/schema/chat.ts';
import { attempt } from '../../../worker/origin/attempt.ts';
import type { EndpointKind } from '../../../worker/origin/pool-config.ts';
import type { TokenCounts } from '../../../worker/origin/usage.ts';
import { endpointConfig } from './endpoint-config.ts';

const timeouts = { headers: 1000, perThousandTokens: 0, firstToken: 1000, thinkingFirstToken: 1000, idle: 1000, total: 5000 };

/** Asks a server of that kind which answers so; tells the answer, what it was sent, and what the attempt told about itself. */
export async function ask(kind: EndpointKind, response: () => Response, body: object) {
  let sent: Record<string, unknown> = {};
  const told: { firstTokens: number; ends: [TokenCounts, boolean][] } = { firstTokens: 0, ends: [] };
  const fetch = (async (_: string, init: RequestInit) => {
    sent = JSON.parse(init.body as string);
    return response();
  }) as unknown as typeof globalThis.fetch;
  const request = parseChatRequest({ model: 'offered', messages: [{ role: 'user', content: 'hi' }], ...body });
  const signal = new AbortController().signal;
  const call = { request, id: 'id', signal, promptBytes: 2, thinking: false };
  const events = {
    onFirstToken: () => void told.firstTokens++,
    onEnd: (used: TokenCounts, complete: boolean) => void told.ends.push([used, complete]),
  };
  const limit = { endsAt: Date.now() + timeouts.total, ms: timeouts.total };
  const answer = await attempt({ endpoint: endpointConfig('a', { kind }), timeouts, limit, call, signal, events, fetch });
  return { answer, sent, told };
}

/** An event stream of these data. */
export const sse = (events: string[]) => () =>
  new Response(events.map((event) => `data: ${event}\n\n`).join(''), { headers: { 'content-type': 'text/event-stream' } });

/** The same of chunks, and complete. */
export const streamOf = (chunks: object[]) => sse([...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]']);

export const json =
  (body: unknown, status = 200) =>
  () =>
    Response.json(body, { status });

export interface Choice {
  index: number;
  delta: Record<string, unknown> & { tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[] | null };
  logprobs: unknown;
  finish_reason: string | null;
}

/** Text and parsed chunks of a streamed answer. */
export async function read(body: ChatBody) {
  if (body.type !== 'sse') throw new Error(`not a stream but ${body.type}`);
  let text = '';
  let done = false;
  for await (const event of body.events) {
    if (event.type === 'bytes') text += new TextDecoder().decode(event.bytes);
    else done = true;
  }
  const chunks = text
    .split('\n\n')
    .flatMap((event) => (event ? [JSON.parse(event.slice(6)) as { choices: Choice[]; usage?: unknown; error?: unknown }] : []));
  return { text, done, chunks, deltas: chunks.flatMap((chunk) => chunk.choices?.map((choice) => choice.delta) ?? []) };
}

/** A whole answer, parsed. */
// biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
export function completionOf(body: ChatBody): any {
  if (body.type !== 'json') throw new Error(`not a whole answer but ${body.type}`);
  return JSON.parse(new TextDecoder().decode(body.bytes));
}
