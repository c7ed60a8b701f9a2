import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../routes/errors.ts';
import type { ChatBody } from '../../../routes/gateway.ts';
import { parseChatRequest } from '../../../routes/schema/chat.ts';
import { attempt } from '../../../worker/origin/attempt.ts';
import { type EndpointKind, endpointKinds } from '../../../worker/origin/pool-config.ts';
import { type Transcript, transcripts } from './servers.ts';

const endpointOf = (kind: EndpointKind) => ({
  name: 'a',
  url: 'http://a/v1',
  kind,
  model: 'm',
  region: null,
  weight: 1,
  priority: 0,
  price: null,
  context: null,
  modalities: null,
  key: null,
  binding: null,
});
const timeouts = { headers: 1000, perThousandTokens: 0, firstToken: 1000, thinkingFirstToken: 1000, idle: 1000, total: 5000 };

/** Asks a server of that kind which answers so; tells the answer and what it was sent. */
async function ask(kind: EndpointKind, response: () => Response, body: object) {
  let sent: Record<string, unknown> = {};
  const fetch = (async (_: string, init: RequestInit) => {
    sent = JSON.parse(init.body as string);
    return response();
  }) as unknown as typeof globalThis.fetch;
  const request = parseChatRequest({ model: 'offered', messages: [{ role: 'user', content: 'hi' }], ...body });
  const signal = new AbortController().signal;
  const call = { request, id: 'id', signal, promptBytes: 2, thinking: false };
  const events = { onFirstToken() {}, onEnd() {} };
  const answer = await attempt({ endpoint: endpointOf(kind), timeouts, call, signal, events, fetch });
  return { answer, sent };
}

const sse = (events: string[]) => () =>
  new Response(events.map((event) => `data: ${event}\n\n`).join(''), { headers: { 'content-type': 'text/event-stream' } });
const json =
  (body: object, status = 200) =>
  () =>
    Response.json(body, { status });
const streamOf = ({ stream }: Transcript) => sse([...stream.map((chunk) => JSON.stringify(chunk)), '[DONE]']);

interface Choice {
  delta: Record<string, unknown> & { tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[] | null };
  logprobs: unknown;
  finish_reason: string | null;
}

/** Text and parsed chunks of a streamed answer. */
async function read(body: ChatBody) {
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

/** What every kind of server becomes: OpenAI's shape. */
describe.each(endpointKinds)('%s', (kind) => {
  const transcript = transcripts[kind];
  const streaming = { stream: true, stream_options: { include_usage: true } };

  it('streams reasoning, text, parallel tool calls, logprobs, one finish and the usage', async () => {
    const { done, chunks, deltas } = await read((await ask(kind, streamOf(transcript), streaming)).answer);
    expect(done).toBe(true);
    expect(deltas[0]).toMatchObject({ role: 'assistant', content: '' });
    expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe('Hm.');
    expect(deltas.some((delta) => 'reasoning' in delta)).toBe(false);
    expect(deltas.map((delta) => delta.content ?? '').join('')).toBe('Yes.');
    const calls: { id?: string; name?: string; arguments: string }[] = [];
    for (const part of deltas.flatMap((delta) => delta.tool_calls ?? [])) {
      calls[part.index] ??= { id: part.id, name: part.function.name, arguments: '' };
      calls[part.index]!.arguments += part.function.arguments;
    }
    expect(calls).toEqual([
      { id: 'call-1', name: 'weather', arguments: '{"city":"Oslo"}' },
      { id: 'call-2', name: 'time', arguments: '{}' },
    ]);
    expect(chunks.filter((chunk) => chunk.choices[0]?.logprobs)).toHaveLength(1);
    expect(chunks.filter((chunk) => chunk.choices[0]?.finish_reason)).toHaveLength(1);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 29 } });
  });

  it('gives the same in one piece', async () => {
    const { answer } = await ask(kind, json(transcript.whole), {});
    const completion = JSON.parse(new TextDecoder().decode((answer as { bytes: Uint8Array }).bytes));
    expect(completion.choices[0].message).toMatchObject({
      role: 'assistant',
      content: 'Yes.',
      reasoning_content: 'Hm.',
      tool_calls: [{ id: 'call-1' }, { id: 'call-2' }],
    });
    expect(completion.choices[0].message).not.toHaveProperty('reasoning');
    expect(completion).toMatchObject({
      choices: [{ finish_reason: 'tool_calls', logprobs: { content: [{ token: 'Yes' }] } }],
      usage: { total_tokens: 29 },
    });
  });

  it('passes on unchanged, byte by byte, what needs no change', async () => {
    const needsNone = transcript.stream.filter((chunk) => !/"reasoning":|"role":"assistant","content":null/.test(JSON.stringify(chunk)));
    const { text } = await read((await ask(kind, streamOf({ ...transcript, stream: needsNone }), streaming)).answer);
    expect(text).toBe(needsNone.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(''));
  });

  it('says in the same words that a prompt is too long', async () => {
    const error = await ask(kind, json(transcript.tooLong, 400), {}).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect([error.status, error.body().error]).toEqual([
      400,
      { message: expect.stringMatching(/context/), type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' },
    ]);
  });

  it('breaks a stream off by an error event and no [DONE]', async () => {
    const events = [...transcript.stream.slice(0, 4).map((chunk) => JSON.stringify(chunk)), transcript.errorEvent];
    const { done, chunks } = await read((await ask(kind, sse(events), streaming)).answer);
    expect(done).toBe(false);
    expect(chunks.at(-1)!.error).toMatchObject({ message: expect.any(String) });
  });

  it('is asked in its own words', async () => {
    const messages = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: 'hi' },
    ];
    const { sent } = await ask(kind, json(transcript.whole), {
      messages,
      reasoning_effort: 'none',
      tools: [{ type: 'function' }],
      custom: 1,
    });
    const own = kind === 'openai';
    expect(sent).toMatchObject({
      model: 'm',
      tools: [{ type: 'function' }],
      custom: 1,
      messages: [{ role: own ? 'developer' : 'system' }, { role: 'user' }],
    });
    expect(sent.chat_template_kwargs).toEqual(own ? undefined : { enable_thinking: false });
  });
});

describe('older servers', () => {
  it("are understood when llama-server writes an error in a field of SSE's own", async () => {
    const [role, , token] = transcripts['llama-server'].stream;
    const body = `data: ${JSON.stringify(role)}\n\ndata: ${JSON.stringify(token)}\n\nerror: {"code":500,"message":"Compute error."}\n\n`;
    const { done, text } = await read(
      (await ask('llama-server', () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }), { stream: true })).answer,
    );
    expect(done).toBe(false);
    expect(text).toContain('data: {"error":{"code":500,"message":"Compute error."}}\n\n');
  });
});
