import { describe, expect, it } from 'vitest';
import { chat, dataOf, edgeOnly, eventually, failure, originOnly, seenByOrigin, withOrigin } from './support.ts';

const tagged = (id: string, more: Record<string, string> = {}) => ({ headers: { 'x-request-id': id, ...more } });
const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-origin', object: 'chat.completion.chunk', created: 1, model: 'origin-test', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const stream = { model: 'origin-test', stream: true };

describe('a request to the origin', () => {
  it('arrives as it was sent, but for the model name', async () => {
    const body = {
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hello', cache_control: { type: 'ephemeral' } }], custom: [1] }],
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
      chat_template_kwargs: { enable_thinking: true, other: [null] },
      guided_regex: 'a+',
      temperature: 0.25,
      stop: null,
    };
    const response = await chat(withOrigin(), '', body, tagged('as-sent'));
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    expect(response.headers.get('x-nearside-reason')).toBe('unsupported_parameter, tools, thinking');
    expect((await seenByOrigin('as-sent'))?.body).toEqual({ model: 'origin-test', max_tokens: 16, ...body });
  });

  it("carries the gateway's key and none of the client's headers", async () => {
    const keyed = withOrigin({ NEARSIDE_ORIGIN_KEY: 'origin-secret' });
    await chat(
      keyed,
      'hello',
      { model: 'origin-test' },
      tagged('keyed', { authorization: 'Bearer client-key', cookie: 'a=b', 'x-custom': '1' }),
    );
    const headers = (await seenByOrigin('keyed'))!.headers;
    expect(headers.authorization).toBe('Bearer origin-secret');
    expect(headers).not.toHaveProperty('cookie');
    expect(headers).not.toHaveProperty('x-custom');
    await chat(withOrigin(), 'hello', { model: 'origin-test' }, tagged('keyless', { authorization: 'Bearer client-key' }));
    expect((await seenByOrigin('keyless'))!.headers).not.toHaveProperty('authorization');
  });
});

describe('an answer of the origin', () => {
  it('passes as it is', async () => {
    const response = await chat(withOrigin(), 'hello', { model: 'origin-test' });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    expect(response.headers.get('x-nearside-reason')).toBe('origin_model_requested');
    expect(response.headers.get('x-nearside-model')).toBe('origin-test');
    expect(await response.json()).toMatchObject({
      model: 'origin-test',
      choices: [{ message: { content: 't0 t1 ' } }],
      usage: { total_tokens: 13 },
    });
  });

  it('streams through byte by byte, comments included', async () => {
    const response = await chat(withOrigin(), 'comment; role; tokens 2; finish; usage; done', {
      ...stream,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const usage = { id: 'chatcmpl-origin', object: 'chat.completion.chunk', created: 1, model: 'origin-test', choices: [] };
    expect(await response.text()).toBe(
      [
        ': ping\n\n',
        chunk({ role: 'assistant', content: null }),
        chunk({ content: 't0 ' }),
        chunk({ content: 't1 ' }),
        chunk({}, 'stop'),
        `data: ${JSON.stringify({ ...usage, usage: { prompt_tokens: 11, completion_tokens: 2, total_tokens: 13 } })}\n\n`,
        'data: [DONE]\n\n',
      ].join(''),
    );
  });

  it('gets a usage when the origin gives none and the client wants one', async () => {
    const script = 'role; tokens 3; finish; done';
    const counted = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10, estimated: true };
    const asked = dataOf(await (await chat(withOrigin(), script, { ...stream, stream_options: { include_usage: true } })).text());
    expect(asked.at(-2)).toMatchObject({ id: 'chatcmpl-origin', choices: [], usage: counted });
    expect(asked.at(-1)).toBe('[DONE]');
    const unasked = await (await chat(withOrigin(), script, stream)).text();
    expect(unasked).not.toContain('usage');
    const whole = await (await chat(withOrigin(), 'no usage', { model: 'origin-test' })).json();
    expect(whole).toMatchObject({ choices: [{}], usage: { prompt_tokens: 2, completion_tokens: 2, estimated: true } });
  });

  it('is complete with a finish, even if [DONE] was forgotten', async () => {
    expect(await (await chat(withOrigin(), 'tokens 1; finish', stream)).text()).toBe(
      `${chunk({ content: 't0 ' })}${chunk({}, 'stop')}data: [DONE]\n\n`,
    );
  });
});

describe('a stream that breaks', () => {
  it.each<[string, string, string]>([
    ['the connection is cut', 'tokens 2; cut', 'origin_stream_broken'],
    ['half an event is left', 'tokens 2; half; cut', 'origin_stream_broken'],
    ['it ends without a finish', 'tokens 2', 'origin_stream_broken'],
    ['it falls silent', 'tokens 2; stall', 'origin_timeout'],
  ])('because %s ends with an error event and no [DONE]', async (_, script, code) => {
    const text = await (await chat(withOrigin({ NEARSIDE_ORIGIN_IDLE_TIMEOUT_MS: '300' }), script, stream)).text();
    const events = dataOf(text);
    expect(events.slice(0, 2).map((event) => event.choices[0].delta.content)).toEqual(['t0 ', 't1 ']);
    expect(events.slice(2)).toEqual([{ error: { message: expect.any(String), type: 'server_error', param: null, code } }]);
    expect(text).not.toContain('[DONE]');
    expect(text.endsWith('\n\n')).toBe(true);
  });

  it("passes the origin's own error event on, with all of OpenAI's fields, and no [DONE] after it", async () => {
    const text = await (await chat(withOrigin(), 'tokens 1; error; done', stream)).text();
    const error = { message: 'Scripted failure.', type: 'server_error', param: null, code: 'scripted' };
    expect(dataOf(text)).toEqual([expect.anything(), { error }]);
    expect(text).not.toContain('[DONE]');
  });

  it('before its first event is answered by the edge if it can be, else by a status', async () => {
    for (const script of [
      'head; cut',
      'error; done',
      'head',
      'html',
      'status 500',
      'status 503',
      'status 429',
      'status 401',
      'status 404',
      'status 302',
    ]) {
      const rescued = await chat(withOrigin(), script, { max_tokens: undefined, stream: true });
      expect([script, rescued.headers.get('x-nearside-route')]).toEqual([script, 'edge']);
      expect(rescued.headers.get('x-nearside-reason')).toBe('origin_unavailable, edge_max_tokens_cap');
      expect(await rescued.text()).toContain('"content":" there"');
      const { status } = await failure(await chat(withOrigin(), script, { ...stream, n: 2 }));
      expect(status).toBe(script === 'status 503' ? 503 : script === 'status 429' ? 429 : 502);
    }
  });
});

describe('an origin that refuses', () => {
  it.each<[string, number, object, string | null]>([
    ['status 400', 400, { message: 'Scripted 400.', type: 'scripted_error', param: 'messages', code: 'scripted' }, null],
    ['status 422', 422, { code: 'scripted' }, null],
    ['status 401', 502, { code: 'origin_auth_failed', param: null }, null],
    ['status 403', 502, { code: 'origin_auth_failed' }, null],
    ['status 404', 502, { code: 'origin_error' }, null],
    ['status 302', 502, { code: 'origin_error' }, null],
    ['status 429', 429, { code: 'origin_rate_limited', type: 'rate_limit_error' }, '17'],
    ['status 500', 502, { code: 'origin_error', message: 'The origin failed (HTTP 500): Scripted 500.' }, null],
    ['status 503', 503, { code: 'origin_unavailable' }, '10'],
    ['status 504', 504, { code: 'origin_timeout' }, null],
    ['html', 502, { code: 'origin_bad_response' }, null],
    ['cut', 502, { code: 'origin_stream_broken' }, null],
  ])("with '%s' is told as %i", async (script, status, error, retryAfter) => {
    const response = await chat(withOrigin(), script, { model: 'origin-test' });
    expect(response.headers.get('retry-after')).toBe(retryAfter);
    expect(await failure(response)).toMatchObject({ status, ...error });
  });

  it('does not get a bad request answered by the edge', async () => {
    const response = await chat(withOrigin(), 'status 400', { max_tokens: undefined });
    expect([response.status, response.headers.get('x-nearside-route')]).toEqual([400, 'origin']);
  });

  it('as the first event of a stream is told by its status', async () => {
    const event = JSON.stringify({ error: { message: 'Too long.', type: 'BadRequestError', param: null, code: 400 } });
    expect(await failure(await chat(withOrigin(), `raw ${event}; done`, stream))).toMatchObject({ status: 400, message: 'Too long.' });
  });
});

describe('an origin that is not there', () => {
  const down = (more = {}) => withOrigin({ NEARSIDE_ORIGIN_URL: 'http://127.0.0.1:9/v1', ...more });

  it('is replaced by the edge for what the edge can do', async () => {
    const response = await chat(down(), 'hello', { max_tokens: undefined });
    expect(response.headers.get('x-nearside-route')).toBe('edge');
    expect(response.headers.get('x-nearside-reason')).toBe('origin_unavailable, edge_max_tokens_cap');
  });

  it('is 503 for the rest', async () => {
    const response = await chat(down(), 'hello', { n: 2 });
    expect(response.headers.get('retry-after')).toBe('10');
    expect(response.headers.get('x-nearside-reason')).toBe('origin_unavailable, n');
    expect(await failure(response)).toMatchObject({ status: 503, code: 'origin_unavailable' });
    expect((await failure(await chat(edgeOnly(), 'hello', { n: 2 }))).code).toBe('no_route');
  });
});

describe('an origin that takes its time', () => {
  it.each<[string, string, object, Record<`NEARSIDE_${string}`, string>]>([
    ['headers', 'stall', stream, { NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS: '200' }],
    ['a first token', 'comment 100 20; stall', stream, { NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS: '300' }],
    ['a first token after the role', 'role; stall', stream, { NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS: '300' }],
    ['a whole answer', 'stall', { model: 'origin-test' }, { NEARSIDE_ORIGIN_TOTAL_TIMEOUT_MS: '200' }],
  ])('for %s is given up, and told to stop', async (_, script, body, variables) => {
    const id = `timeout-${script}-${'stream' in body}`.replace(/[ ;]+/g, '-');
    const response = await chat(withOrigin(variables), script, body, tagged(id));
    expect(await response.text()).toContain('origin_timeout');
    // Comments and a role are no answer yet: until the first token a failure has its own status, and others may still answer.
    expect(response.status).toBe(504);
    await eventually('the origin saw it', async () => (await seenByOrigin(id))?.aborted);
  });

  it('for its first event is replaced by the edge', async () => {
    const response = await chat(withOrigin({ NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS: '200' }), 'stall', {
      max_tokens: undefined,
      stream: true,
    });
    expect(response.headers.get('x-nearside-route')).toBe('edge');
    expect(dataOf(await response.text()).at(-1)).toBe('[DONE]');
  });

  const impatient = (more = {}) => withOrigin({ NEARSIDE_COMMIT_AFTER_MS: '100', NEARSIDE_KEEPALIVE_MS: '40', ...more });

  it('has its stream begun by a comment, and kept alive by more', async () => {
    const response = await chat(impatient(), 'wait 400; tokens 1; wait 200; finish; done', stream);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    const text = await response.text();
    expect(text).toMatch(/^(: keep-alive\n\n){3,}data: \{.*\}\n\n(: keep-alive\n\n){2,}data: \{.*\}\n\ndata: \[DONE\]\n\n$/);
  });

  it.each(['wait 300; status 500', 'wait 300; head; cut', 'wait 300; error'])(
    'and fails after that (%s) is told in an error event; nobody else answers',
    async (script) => {
      const response = await chat(impatient(), script, { max_tokens: undefined, stream: true });
      expect([response.status, response.headers.get('x-nearside-route')]).toEqual([200, 'origin']);
      const text = await response.text();
      expect(text.startsWith(': keep-alive\n\n')).toBe(true);
      expect(dataOf(text)).toEqual([{ error: expect.objectContaining({ type: 'server_error', param: null, code: expect.any(String) }) }]);
    },
  );
});

describe('a client that leaves', () => {
  it.each<[string, string, object]>([
    ['in mid-stream', 'tokens 500 20', stream],
    ['in mid-stream, unstreamed', 'wait 100; stall', { model: 'origin-test' }],
    ['before the first token', 'stall', stream],
  ])('%s stops the origin by its signal', async (_, script, body) => {
    const id = `left-${script}-${'stream' in body}`.replace(/[ ;]+/g, '-');
    const controller = new AbortController();
    const answering = chat(withOrigin(), script, body, { ...tagged(id), signal: controller.signal });
    await eventually('the origin was asked', () => seenByOrigin(id));
    controller.abort();
    await answering.then((response) => response.text()).catch(() => {});
    await eventually('the origin stopped', async () => (await seenByOrigin(id))?.aborted);
  });

  it('by closing the response stops the origin too', async () => {
    const id = 'closed';
    const response = await chat(originOnly(), 'tokens 500 20', stream, tagged(id));
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await eventually('the origin stopped', async () => (await seenByOrigin(id))?.aborted);
  });

  it('after the end aborts nothing', async () => {
    const id = 'completed';
    await (await chat(originOnly(), 'tokens 2; finish; done', stream, tagged(id))).text();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await seenByOrigin(id))?.aborted).toBe(false);
  });
});
