import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../routes/errors.ts';
import { endpointKinds } from '../../../worker/origin/pool-config.ts';
import { ask, type Choice, completionOf, json, read, sse, streamOf } from './asking.ts';
import { tokenLogprobs, toolCalls, transcripts } from './servers.ts';

const streaming = { stream: true, stream_options: { include_usage: true } };

/** Everything that only an origin can do, as clients ask for it. */
const rich = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Weather?' },
        { type: 'image_url', image_url: { url: 'https://a.example/b.png', detail: 'low' } },
      ],
    },
    { role: 'assistant', content: null, tool_calls: toolCalls },
    { role: 'tool', tool_call_id: 'call-1', content: '4 °C' },
    { role: 'tool', tool_call_id: 'call-2', content: [{ type: 'text', text: 'noon' }] },
  ],
  tools: [
    {
      type: 'function',
      function: { name: 'weather', strict: true, parameters: { type: 'object', properties: { city: { type: 'string' } } } },
    },
    { type: 'function', function: { name: 'time', parameters: { type: 'object' } } },
  ],
  tool_choice: { type: 'function', function: { name: 'weather' } },
  parallel_tool_calls: true,
  response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: { type: 'object', required: ['a'] } } },
  logprobs: true,
  top_logprobs: 3,
  n: 2,
  logit_bias: { 15: -100 },
  chat_template_kwargs: { enable_thinking: true },
  guided_regex: 'a+',
};

/** Parallel tool calls put together from their pieces, as clients do. */
function assembled(deltas: Choice['delta'][]) {
  const calls: { id?: string; type: string; function: { name?: string; arguments: string } }[] = [];
  for (const part of deltas.flatMap((delta) => delta.tool_calls ?? [])) {
    calls[part.index] ??= { id: part.id, type: 'function', function: { name: part.function.name, arguments: '' } };
    calls[part.index]!.function.arguments += part.function.arguments;
  }
  return calls;
}

/** What every kind of server becomes: OpenAI's shape. */
describe.each(endpointKinds)('%s', (kind) => {
  const transcript = transcripts[kind];
  const own = kind === 'openai';

  describe('asked', () => {
    it.each([{}, streaming])('%j for all that there is gets it as the client said it', async (how) => {
      const answer = how === streaming ? streamOf(transcript.stream.map((chunk) => withSecondChoice(chunk))) : json(transcript.whole);
      const { sent } = await ask(kind, answer, { ...rich, ...how });
      expect(sent).toEqual({ ...rich, ...how, model: 'm' });
    });

    it('with a role or a switch that open models do not know gets their own', async () => {
      const messages = [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ];
      const { sent } = await ask(kind, json(transcript.whole), { messages, reasoning_effort: 'none' });
      expect(sent.messages).toEqual([{ ...messages[0], role: own ? 'developer' : 'system' }, messages[1]]);
      expect(sent.chat_template_kwargs).toEqual(own ? undefined : { enable_thinking: false });
      expect(sent.reasoning_effort).toBe('none');
    });

    it('to go on gets what was thought before under the name that it reads', async () => {
      const before = { role: 'assistant', content: 'Yes.', reasoning_content: 'Hm.' };
      const messages = [{ role: 'user', content: 'hi' }, before, { role: 'user', content: 'Sure?' }];
      const { sent } = await ask(kind, json(transcript.whole), { messages });
      expect((sent.messages as object[])[1]).toEqual(kind === 'vllm' ? { ...before, reasoning: 'Hm.' } : before);
    });
  });

  describe('answering', () => {
    it('streams reasoning, text, parallel tool calls, logprobs, one finish and the usage', async () => {
      const { answer, told } = await ask(kind, streamOf(transcript.stream), streaming);
      const { done, chunks, deltas } = await read(answer);
      expect(done).toBe(true);
      expect(deltas[0]).toMatchObject({ role: 'assistant', content: '' });
      expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe('Hm.');
      expect(deltas.some((delta) => 'reasoning' in delta)).toBe(false);
      expect(deltas.map((delta) => delta.content ?? '').join('')).toBe('Yes.');
      expect(assembled(deltas)).toEqual(toolCalls);
      expect(chunks.flatMap((chunk) => chunk.choices[0]?.logprobs ?? [])).toEqual([tokenLogprobs]);
      expect(chunks.flatMap((chunk) => chunk.choices[0]?.finish_reason ?? [])).toEqual(['tool_calls']);
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29 } });
      expect(told).toEqual({ firstTokens: 1, ends: [[{ promptTokens: 20, completionTokens: 9, estimated: false }, true]] });
    });

    it('gives the same in one piece', async () => {
      const { answer, told } = await ask(kind, json(transcript.whole), {});
      const completion = completionOf(answer);
      expect(completion.choices[0]).toMatchObject({ finish_reason: 'tool_calls', logprobs: tokenLogprobs });
      expect(completion.choices[0].message).toMatchObject({
        role: 'assistant',
        content: 'Yes.',
        reasoning_content: 'Hm.',
        tool_calls: toolCalls,
      });
      expect(completion.choices[0].message).not.toHaveProperty('reasoning');
      expect(completion.usage).toEqual({ prompt_tokens: 20, completion_tokens: 9, total_tokens: 29 });
      expect(told.ends).toEqual([[{ promptTokens: 20, completionTokens: 9, estimated: false }, true]]);
    });

    it('passes on unchanged, byte by byte, what needs no change', async () => {
      const needsNone = transcript.stream.filter((chunk) => !/"reasoning":|"role":"assistant","content":null/.test(JSON.stringify(chunk)));
      const { text } = await read((await ask(kind, streamOf(needsNone), streaming)).answer);
      expect(text).toBe(needsNone.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(''));
      if (kind === 'vllm') return;
      const { answer } = await ask(kind, json(transcript.whole), {});
      expect(answer.type === 'json' && new TextDecoder().decode(answer.bytes)).toBe(JSON.stringify(transcript.whole));
    });

    it('in JSON, as a schema asked for, is not touched', async () => {
      const text = '{"a":"1\\n\\u00e9 €","b":[null,1e9]}';
      const head = { id: 'x', object: 'chat.completion', created: 1, model: 'm' };
      const choice = { index: 0, finish_reason: 'stop' };
      const whole = {
        ...head,
        choices: [{ ...choice, message: { role: 'assistant', content: text } }],
        usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
      };
      expect(completionOf((await ask(kind, json(whole), rich)).answer)).toEqual(whole);
      const deltas = [...text].map((content) => ({ ...head, choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
      const stream = streamOf([...deltas, { ...head, choices: [{ ...choice, delta: {} }] }]);
      const streamed = await read((await ask(kind, stream, { ...rich, n: 1, stream: true })).answer);
      expect(streamed.deltas.map((delta) => delta.content ?? '').join('')).toBe(text);
    });

    it('with tool calls and nothing to say keeps its content null', async () => {
      const message = { role: 'assistant', content: null, tool_calls: toolCalls };
      const whole = { ...(transcript.whole as object), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] };
      expect(completionOf((await ask(kind, json(whole), rich)).answer).choices[0].message).toEqual(message);
    });

    it('several times at once is complete when all of them are', async () => {
      const both = transcript.stream.map((chunk) => withSecondChoice(chunk));
      const { done, chunks } = await read((await ask(kind, streamOf(both), { ...streaming, n: 2 })).answer);
      expect(done).toBe(true);
      for (const index of [0, 1]) {
        const mine = chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index));
        expect(assembled(mine.map((choice) => choice.delta))).toEqual(toolCalls);
        expect(mine.filter((choice) => choice.finish_reason)).toHaveLength(1);
      }
      const { answer } = await ask(kind, streamOf(transcript.stream), { ...streaming, n: 2 });
      await expect(read(answer)).rejects.toMatchObject({ code: 'origin_stream_broken' });
    });

    it('begins with its first thought, not with its role', async () => {
      const [role, thought] = transcript.stream;
      const thinking = await ask(kind, sse([JSON.stringify(role), JSON.stringify(thought)]), streaming);
      expect(thinking.told.firstTokens).toBe(1);
      await expect(ask(kind, sse([JSON.stringify(role)]), streaming)).rejects.toMatchObject({ code: 'origin_stream_broken' });
    });

    it('without usage is counted, and says so', async () => {
      const uncounted = transcript.stream.filter((chunk) => !('usage' in chunk));
      const { answer, told } = await ask(kind, streamOf(uncounted), streaming);
      const counted = { prompt_tokens: 1, completion_tokens: uncounted.length - 2, total_tokens: uncounted.length - 1, estimated: true };
      expect((await read(answer)).chunks.at(-1)).toMatchObject({ choices: [], usage: counted });
      expect(told.ends).toEqual([[{ promptTokens: 1, completionTokens: uncounted.length - 2, estimated: true }, true]]);
      const { usage: _, ...whole } = transcript.whole as { usage: object };
      expect(completionOf((await ask(kind, json(whole), {})).answer).usage).toMatchObject({ prompt_tokens: 1, estimated: true });
    });
  });

  describe('refusing', () => {
    const refused = async (body: object, response: () => Response) => {
      const error = await ask(kind, response, body).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(ApiError);
      return [error.status, error.body().error];
    };

    it.each([{}, streaming])('%j says in the same words that a prompt is too long', async (how) => {
      expect(await refused(how, json(transcript.tooLong, 400))).toEqual([
        400,
        { message: expect.stringMatching(/context/), type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' },
      ]);
    });

    it.each([{}, streaming])('%j for any other reason says it by the same types and codes', async (how) => {
      const named = kind !== 'llama-server';
      expect(await refused(how, json(transcript.errors[400], 400))).toEqual([
        400,
        {
          message: expect.stringMatching(/temperature/),
          type: 'invalid_request_error',
          param: named ? 'temperature' : null,
          code: own ? 'invalid_value' : 'invalid_request',
        },
      ]);
      const message = expect.stringMatching(/^The origin .+: .+/);
      expect(await refused(how, json(transcript.errors[429], 429))).toEqual([
        429,
        { message, type: 'rate_limit_error', param: null, code: 'origin_rate_limited' },
      ]);
      expect(await refused(how, json(transcript.errors[500], 500))).toEqual([
        502,
        { message, type: 'server_error', param: null, code: 'origin_error' },
      ]);
      expect(await refused(how, json(transcript.errors[503], 503))).toEqual([
        503,
        { message, type: 'server_error', param: null, code: 'origin_unavailable' },
      ]);
    });

    it('with status 200 says it all the same', async () => {
      const body = transcript.errors[400] as { error?: object };
      for (const [how, response] of [
        [{}, json({ error: body.error ?? body })],
        [streaming, sse([JSON.stringify({ error: body.error ?? body })])],
      ] as const) {
        expect(await refused(how, response)).toEqual([
          400,
          expect.objectContaining({ message: expect.stringMatching(/temperature/), type: 'invalid_request_error' }),
        ]);
      }
    });

    it('in the middle breaks its stream off by an error event with all four fields, and no [DONE]', async () => {
      const events = [...transcript.stream.slice(0, 4).map((chunk) => JSON.stringify(chunk)), transcript.errorEvent, '[DONE]'];
      const { answer, told } = await ask(kind, sse(events), streaming);
      const { done, chunks } = await read(answer);
      expect(done).toBe(false);
      const said = JSON.parse(transcript.errorEvent).error.message;
      expect(chunks.at(-1)).toEqual({ error: { message: said, type: 'server_error', param: null, code: 'origin_error' } });
      expect(told.ends).toEqual([[{ promptTokens: 1, completionTokens: 3, estimated: true }, false]]);
    });
  });
});

/** The same chunk for a second answer as well. */
function withSecondChoice(chunk: object): object {
  const { choices } = chunk as { choices: { index: number }[] };
  return { ...chunk, choices: choices.flatMap((choice) => [choice, { ...choice, index: 1 }]) };
}

describe('older servers', () => {
  it("are understood when llama-server writes an error in a field of SSE's own", async () => {
    const [role, , token] = transcripts['llama-server'].stream;
    const body = `data: ${JSON.stringify(role)}\n\ndata: ${JSON.stringify(token)}\n\nerror: {"code":500,"message":"Compute error."}\n\n`;
    const { done, text } = await read(
      (await ask('llama-server', () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }), { stream: true })).answer,
    );
    expect(done).toBe(false);
    expect(text).toContain('data: {"error":{"message":"Compute error.","type":"server_error","param":null,"code":"origin_error"}}\n\n');
  });

  it('are understood when vLLM says its reasoning under both names', async () => {
    const [role, ...rest] = transcripts.vllm.stream;
    const both = rest.map((chunk) =>
      JSON.parse(JSON.stringify(chunk).replace(/"reasoning":("[^"]*")/, '"reasoning":$1,"reasoning_content":$1')),
    );
    const { deltas } = await read((await ask('vllm', streamOf([role!, ...both]), { stream: true })).answer);
    expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe('Hm.');
    expect(deltas.some((delta) => 'reasoning' in delta)).toBe(false);
  });
});
