import { describe, expect, it } from 'vitest';
import { chat, dataOf, edgeOnly, eventually, failure, seenByEngine, withOrigin } from './support.ts';

describe('an edge answer', () => {
  it("is a chat completion of OpenAI's", async () => {
    const response = await chat(edgeOnly(), 'hello', {}, { headers: { 'x-request-id': 'my-id.1' } });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-request-id')).toBe('my-id.1');
    expect(response.headers.get('x-nearside-route')).toBe('edge');
    expect(response.headers.get('x-nearside-reason')).toBe('no_origin');
    expect(response.headers.get('x-nearside-model')).toBe('edge-test');
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'edge-test',
      system_fingerprint: 'nearside-q4_0',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there', refusal: null }, logprobs: null, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 7,
        completion_tokens: 2,
        total_tokens: 9,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    });
  });

  it("streams exactly as OpenAI's", async () => {
    const response = await chat(edgeOnly(), 'hello', { stream: true });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('x-nearside-route')).toBe('edge');
    const text = await response.text();
    const { id, created } = dataOf(text)[0];
    const chunk = (delta: object, finish: string | null) =>
      `data: ${JSON.stringify({
        id,
        object: 'chat.completion.chunk',
        created,
        model: 'edge-test',
        system_fingerprint: 'nearside-q4_0',
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      })}\n\n`;
    expect(text).toBe(
      [
        chunk({ role: 'assistant', content: '' }, null),
        chunk({ content: 'Hello' }, null),
        chunk({ content: ' there' }, null),
        chunk({}, 'stop'),
        'data: [DONE]\n\n',
      ].join(''),
    );
  });

  it('reports usage in a last chunk when asked, and null before', async () => {
    const chunks = dataOf(await (await chat(edgeOnly(), 'hello', { stream: true, stream_options: { include_usage: true } })).text());
    expect(chunks.slice(0, -2).map((chunk) => chunk.usage)).toEqual([null, null, null, null]);
    expect(chunks.at(-2)).toMatchObject({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 } });
    expect(chunks.at(-1)).toBe('[DONE]');
  });

  it('keeps thinking apart', async () => {
    const ask = { model: 'edge-test', reasoning_effort: 'low' };
    expect(await (await chat(edgeOnly(), 'think', ask)).json()).toMatchObject({
      choices: [{ message: { content: 'Yes.', reasoning_content: 'Hm.' } }],
      usage: { completion_tokens_details: { reasoning_tokens: 1 } },
    });
    const deltas = dataOf(await (await chat(edgeOnly(), 'think', { ...ask, stream: true })).text()).map(
      (chunk) => chunk.choices?.[0].delta,
    );
    expect(deltas.slice(1, 3)).toEqual([{ reasoning_content: 'Hm.' }, { content: 'Yes.' }]);
  });

  it('carries logprobs when asked', async () => {
    const entry = { token: 'Hello', logprob: -0.5, bytes: [72, 101, 108, 108, 111], top_logprobs: [] };
    const whole = await (await chat(edgeOnly(), 'hello', { logprobs: true })).json();
    expect(whole).toMatchObject({ choices: [{ logprobs: { content: [entry, { token: ' there' }] } }] });
    const chunks = dataOf(await (await chat(edgeOnly(), 'hello', { logprobs: true, stream: true })).text());
    expect(chunks[1].choices[0].logprobs.content).toEqual([entry]);
  });

  it('tells the engine everything that was asked', async () => {
    const messages = [
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'Be ' },
          { type: 'text', text: 'brief.' },
        ],
      },
      { role: 'assistant', content: null, tool_calls: [{ id: 'c1' }] },
      { role: 'tool', content: '42', tool_call_id: 'c1' },
      { role: 'user', content: 'echo' },
    ];
    const asked = {
      model: 'edge-test',
      messages,
      max_tokens: 99,
      max_completion_tokens: 7,
      temperature: 0.5,
      top_p: 0.9,
      top_k: -1,
      min_p: 0.1,
      presence_penalty: 1,
      frequency_penalty: -1,
      repetition_penalty: 1.1,
      seed: 42,
      logit_bias: { '5': -100 },
      stop: 'END',
      logprobs: true,
      top_logprobs: 3,
      reasoning_effort: 'none',
      chat_template_kwargs: { tone: 'dry' },
    };
    const answer = (await (await chat(edgeOnly(), '', asked, { headers: { 'x-request-id': 'echo-1' } })).json()) as {
      choices: { message: { content: string } }[];
    };
    expect(JSON.parse(answer.choices[0]!.message.content)).toEqual({
      id: 'echo-1',
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'assistant', content: '', tool_calls: [{ id: 'c1' }] },
        { role: 'tool', content: '42', tool_call_id: 'c1' },
        { role: 'user', content: 'echo' },
      ],
      templateOptions: { tone: 'dry', enable_thinking: false },
      sampling: {
        temperature: 0.5,
        topP: 0.9,
        topK: 0,
        minP: 0.1,
        presencePenalty: 1,
        frequencyPenalty: -1,
        repetitionPenalty: 1.1,
        seed: 42,
        logitBias: { '5': -100 },
      },
      maxTokens: 7,
      capTokens: 128,
      maxPromptTokens: 256,
      stop: ['END'],
      topLogprobs: 3,
      cacheScope: 'anyone',
    });
  });

  it('says so when the cap ends it', async () => {
    const response = await chat(edgeOnly(), 'cap', { max_tokens: undefined });
    expect(response.headers.get('x-nearside-reason')).toBe('no_origin, edge_max_tokens_cap');
    expect(await response.json()).toMatchObject({ choices: [{ finish_reason: 'length' }], usage: { completion_tokens: 128 } });
  });
});

describe('a refusal of the edge', () => {
  it.each(['prompt_too_long', 'queue_full', 'model_unavailable', 'bad_request'])('%s goes to the origin', async (code) => {
    for (const stream of [false, true]) {
      const response = await chat(withOrigin(), `refuse ${code}`, { stream });
      expect(response.headers.get('x-nearside-route')).toBe('origin');
      expect(response.headers.get('x-nearside-reason')).toBe(code);
      expect(await response.text()).toContain('"model":"origin-test"');
    }
  });

  it('is 503 without an origin, with a time to come back', async () => {
    const response = await chat(edgeOnly(), 'refuse queue_full', { stream: true });
    expect(response.headers.get('retry-after')).toBe('3');
    expect(response.headers.get('x-should-retry')).toBeNull();
    expect(response.headers.get('x-nearside-reason')).toBe('no_origin, queue_full');
    expect(await failure(response)).toMatchObject({ status: 503, code: 'no_route', type: 'server_error' });
  });

  it('is 503 without an origin, and says that asking again is in vain where it is', async () => {
    const response = await chat(edgeOnly(), 'hello', { tools: [{ type: 'function' }] });
    expect([response.headers.get('retry-after'), response.headers.get('x-should-retry')]).toEqual([null, 'false']);
    expect(await failure(response)).toMatchObject({ status: 503, code: 'no_route' });
  });

  it.each<[string, number, string]>([
    ['prompt_too_long', 400, 'context_length_exceeded'],
    ['queue_full', 503, 'queue_full'],
    ['model_unavailable', 503, 'model_unavailable'],
    ['bad_request', 400, 'invalid_value'],
  ])('%s is told when the edge model was asked for by name', async (code, status, expected) => {
    expect(await failure(await chat(withOrigin(), `refuse ${code}`, { model: 'edge-test' }))).toMatchObject({ status, code: expected });
  });
});

it('a bad request names the parameter that the engine finds at fault', async () => {
  const param = async (text: string, model: string) => (await failure(await chat(edgeOnly(), text, { model }))).param;
  for (const model of ['edge-test', 'nearside-auto']) {
    expect(await param('refuse bad_request logit_bias', model)).toBe('logit_bias');
    expect(await param('refuse bad_request', model)).toBe('messages');
  }
});

describe('an engine that fails', () => {
  it('before the first token is replaced by the origin', async () => {
    for (const stream of [false, true]) {
      const response = await chat(withOrigin(), 'fail early', { stream });
      expect(response.headers.get('x-nearside-reason')).toBe('model_unavailable');
      expect(await response.text()).toContain('"model":"origin-test"');
    }
  });

  it('half-way is replaced as long as nothing was sent', async () => {
    const response = await chat(withOrigin(), 'fail late');
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    expect(await failure(await chat(edgeOnly(), 'fail late'))).toMatchObject({ status: 503 });
  });

  it.each([
    ['fail late', 'engine_failed'],
    ['cut', 'edge_disconnected'],
  ])('in a stream (%s) ends it with an error event and no [DONE]', async (script, code) => {
    const text = await (await chat(withOrigin(), script, { stream: true })).text();
    const events = dataOf(text);
    expect(events[1].choices[0].delta).toEqual({ content: 'Hel' });
    expect(events.at(-1)).toEqual({ error: { message: expect.any(String), type: 'server_error', param: null, code } });
    expect(text).not.toContain('[DONE]');
  });
});

describe('a client that leaves', () => {
  it('stops the engine in mid-stream', async () => {
    const id = 'edge-cancel';
    const response = await chat(edgeOnly(), 'slow 20 500', { stream: true }, { headers: { 'x-request-id': id } });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await eventually('the engine stopped', async () => (await seenByEngine()).aborted.includes(id));
  });

  it('stops the engine by its signal', async () => {
    const id = 'edge-abort';
    const controller = new AbortController();
    const answering = chat(edgeOnly(), 'slow 50 500', {}, { headers: { 'x-request-id': id }, signal: controller.signal });
    setTimeout(() => controller.abort(), 200);
    await answering.catch(() => {});
    await eventually('the engine stopped', async () => (await seenByEngine()).aborted.includes(id));
  });
});

describe('a slow engine', () => {
  it('gets comments written while it works', async () => {
    const variables = edgeOnly({ NEARSIDE_COMMIT_AFTER_MS: '50', NEARSIDE_KEEPALIVE_MS: '40' });
    const text = await (await chat(variables, 'slow 200 2', { stream: true })).text();
    expect(text.startsWith(': keep-alive\n\n')).toBe(true);
    expect(text.split(': keep-alive\n\n').length).toBeGreaterThan(3);
    expect(dataOf(text).at(-1)).toBe('[DONE]');
    expect(dataOf(text)[0].model).toBe('edge-test');
  });
});
