import { describe, expect, it } from 'vitest';
import { chat, edgeOnly, failure, send, withOrigin } from '../worker/support.ts';

const path = '/v1/chat/completions';
const json = { 'content-type': 'application/json' };
const post = (body: BodyInit | null, headers: Record<string, string> = json, variables = edgeOnly()) =>
  send(variables, path, { method: 'POST', headers, body });

describe('paths and methods', () => {
  it.each(['/', '/v1', '/v1/', '/v1/chat', '/v1/completions', '/favicon.ico'])('404 on %s', async (unknown) => {
    expect(await failure(await send(edgeOnly(), unknown))).toMatchObject({ status: 404, code: 'not_found', param: null });
  });

  it('says what there is to a client that asks for a part of the API that is not here, or whose base URL is wrong', async () => {
    for (const unknown of ['/v1/responses', '/chat/completions']) {
      const response = await send(edgeOnly(), unknown, { method: 'POST', headers: json, body: '{}' });
      const { error } = (await response.json()) as { error: { message: string } };
      expect(error.message).toMatch(/no \/.* here, only \/v1\/chat\/completions and \/v1\/models: .*base URL that ends in \/v1/);
    }
  });

  it.each<[string, string, string]>([
    ['GET', path, 'POST'],
    ['DELETE', path, 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['DELETE', '/v1/models/edge-test', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['PUT', '/readyz', 'GET, HEAD'],
  ])('405 on %s %s', async (method, at, allow) => {
    const response = await send(edgeOnly(), at, { method });
    expect(response.headers.get('allow')).toBe(allow);
    expect(await failure(response)).toMatchObject({ status: 405, code: 'method_not_allowed' });
  });

  it.each([`${path}?api-version=1`, '/v1/ch%61t/completions'])('answers chat requests to %s as to its usual name', async (unusual) => {
    const body = JSON.stringify({ model: 'edge-test', messages: [{ role: 'user', content: 'hello' }] });
    const response = await send(edgeOnly(), unusual, { method: 'POST', headers: { ...json, 'x-request-id': 'mine' }, body });
    expect([response.status, response.headers.get('x-request-id')]).toEqual([200, 'mine']);
    expect((await send({}, unusual, { method: 'POST', headers: json, body })).status).toBe(503);
  });

  it('answers HEAD where it answers GET', async () => {
    const response = await send(edgeOnly(), '/v1/models', { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
  });
});

describe('x-request-id', () => {
  it.each<[string | null, boolean]>([
    ['abc-123_4.5:6', true],
    ['trace/1+2=', true],
    ['two words', false],
    ['a'.repeat(129), false],
    ['{"a":1}', false],
    [null, false],
  ])('%s', async (given, kept) => {
    const headers: Record<string, string> = given === null ? {} : { 'x-request-id': given };
    const responses = [await send(edgeOnly(), '/healthz', { headers }), await post('{', { ...json, ...headers })];
    for (const response of responses)
      expect(response.headers.get('x-request-id')).toEqual(kept ? given : expect.stringMatching(/^req_[0-9a-f]{32}$/));
  });

  it('is another one for each request', async () => {
    const ids = new Set<string | null>();
    for (let i = 0; i < 200; i++) ids.add((await send(edgeOnly(), '/healthz')).headers.get('x-request-id'));
    expect(ids.size).toBe(200);
  });

  it('is on errors too', async () => {
    const response = await send(edgeOnly(), '/nothing', { headers: { 'x-request-id': 'mine' } });
    expect(response.headers.get('x-request-id')).toBe('mine');
  });
});

describe('bodies', () => {
  it.each<[string, BodyInit]>([
    ['no JSON', 'model=x'],
    ['cut off', '{"model":"x"'],
    ['empty', ''],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
  ])('400 for %s', async (_, body) => {
    expect(await failure(await post(body))).toMatchObject({ status: 400, code: 'invalid_json' });
  });

  it.each<[string, string, string]>([
    ['nested too deeply', `${'['.repeat(101)}${']'.repeat(101)}`, 'deeper than 100 levels'],
    ['nested as deeply as a stack', `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`, 'deeper than 100 levels'],
    ['of very many values', JSON.stringify(Array(100_000).fill(0)), 'more than 100000 values'],
    ['of very many objects', JSON.stringify(Array(100_001).fill({})), 'more than 100000 values'],
    ['of very many keys', JSON.stringify(Object.fromEntries(Array.from({ length: 100_001 }, (_, i) => [`k${i}`, 1]))), 'more than 100000'],
  ])('400 for a body %s, which one that is just within the limits is not', async (_, odd, complaint) => {
    const around = (value: string) => `{"model":"edge-test","messages":[{"role":"user","content":"hello"}],"metadata":{"a":${value}}}`;
    const refused = await failure(await post(around(odd)));
    expect(refused).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(refused.message).toContain(complaint);
    const deep = `${'['.repeat(97)}${']'.repeat(97)}`;
    expect((await post(around(deep))).status).toBe(200);
    expect((await post(around(JSON.stringify(Array(99_000).fill(0))))).status).toBe(200);
  });

  it.each(['[]', 'null', '"text"', '1'])('400 for %s', async (body) => {
    expect(await failure(await post(body))).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  it('415 for other types, as no page may post without the browser asking first', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
      expect(await failure(await post('{}', { 'content-type': type }))).toMatchObject({ status: 415, code: 'unsupported_media_type' });
    }
    expect((await post(new Uint8Array([123, 125]), {})).status).toBe(415);
  });

  it('415 for one that is compressed, which nobody unpacks', async () => {
    const packed = await new Response(new Blob(['{}']).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer();
    const response = await post(packed, { ...json, 'content-encoding': 'gzip' });
    expect(response.headers.get('accept-encoding')).toBe('identity');
    expect(await failure(response)).toMatchObject({
      status: 415,
      code: 'unsupported_media_type',
      message: expect.stringContaining('gzip'),
    });
    expect((await post('{}', { ...json, 'content-encoding': 'identity' })).status).toBe(400);
  });

  it('400 for one that breaks off, with and without a length', async () => {
    const broken = () =>
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode('{"model":')),
        pull: (controller) => controller.error(new Error('Network connection lost.')),
      });
    for (const headers of [json, { ...json, 'content-length': '100' }]) {
      expect(await failure(await post(broken(), headers))).toMatchObject({
        status: 400,
        code: 'invalid_request',
        message: expect.stringContaining('broke off'),
      });
    }
  });

  it('takes JSON with parameters and suffixes', async () => {
    const body = '{"model":"nearside-auto","messages":[{"role":"user","content":"hello"}]}';
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.api+json']) {
      expect((await post(body, { 'content-type': type })).status).toBe(200);
    }
  });

  describe('over the limit', () => {
    const limited = edgeOnly({ NEARSIDE_MAX_BODY_BYTES: '100' });
    const expected = { status: 413, code: 'request_too_large', message: expect.stringContaining('100 bytes') };

    it('are refused by their announced length', async () => {
      expect(await failure(await post('{', { ...json, 'content-length': '101' }, limited))).toMatchObject(expected);
    });

    it('are refused when the length was a lie', async () => {
      expect(await failure(await post('x'.repeat(101), { ...json, 'content-length': '5' }, limited))).toMatchObject(expected);
    });

    it('are refused as soon as they get too long, without reading on', async () => {
      let pulled = 0;
      const endless = new ReadableStream<Uint8Array>({
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(60).fill(32));
        },
      });
      expect(await failure(await post(endless, json, limited))).toMatchObject(expected);
      expect(pulled).toBeLessThan(10);
    });

    it('are those of one byte more', async () => {
      const padded = (length: number) => '{}'.padEnd(length);
      expect((await post(padded(100), json, limited)).status).toBe(400);
      expect((await post(padded(101), json, limited)).status).toBe(413);
    });
  });
});

describe('parameters', () => {
  const user = { role: 'user', content: 'hello' };
  it.each<[string, object, string]>([
    ['no messages', { messages: undefined }, 'messages'],
    ['empty messages', { messages: [] }, 'messages'],
    ['messages of another type', { messages: 'hello' }, 'messages'],
    ['a message that is none', { messages: ['hello'] }, 'messages[0]'],
    ['an unknown role', { messages: [user, { role: 'robot', content: 'x' }] }, 'messages[1].role'],
    ['a user without content', { messages: [{ role: 'user' }] }, 'messages[0].content'],
    ['content of another type', { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
    ['no parts', { messages: [{ role: 'user', content: [] }] }, 'messages[0].content'],
    ['a text part without text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text'],
    ['a tool message without its call', { messages: [user, { role: 'tool', content: 'x' }] }, 'messages[1].tool_call_id'],
    ['model of another type', { model: 5 }, 'model'],
    ['an empty model', { model: '' }, 'model'],
    ['temperature', { temperature: 2.1 }, 'temperature'],
    ['top_p', { top_p: -0.1 }, 'top_p'],
    ['n', { n: 0 }, 'n'],
    ['max_tokens', { max_tokens: 0 }, 'max_tokens'],
    ['half a token', { max_completion_tokens: 1.5 }, 'max_completion_tokens'],
    ['five stops', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    ['an empty stop', { stop: '' }, 'stop'],
    ['logit_bias', { logit_bias: { '1': 101 } }, 'logit_bias.1'],
    ['a bias of no token', { logit_bias: { a: 1 } }, 'logit_bias.a'],
    ['top_logprobs', { logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    ['top_logprobs without logprobs', { top_logprobs: 1 }, 'top_logprobs'],
    ['stream_options without stream', { stream_options: { include_usage: true } }, 'stream_options'],
    ['stream of another type', { stream: 'yes' }, 'stream'],
    ['presence_penalty', { presence_penalty: 3 }, 'presence_penalty'],
    ['seed', { seed: 0.5 }, 'seed'],
  ])('400 for %s', async (_, body, param) => {
    const answer = await failure(await chat(edgeOnly(), 'hello', body));
    expect(answer).toMatchObject({ status: 400, type: 'invalid_request_error', param });
    expect(answer.message).toMatch(/^(The parameter|Invalid value for|top_logprobs needs|stream_options is) .+\.$/);
  });

  it('null is the same as nothing', async () => {
    const nulls = {
      temperature: null,
      stop: null,
      n: null,
      logit_bias: null,
      stream: null,
      tools: null,
      max_completion_tokens: null,
      whatever: null,
    };
    expect((await chat(edgeOnly(), 'hello', nulls)).status).toBe(200);
  });

  it('obfuscation that is switched off asks for nothing: the edge has none', async () => {
    const response = await chat(edgeOnly(), 'hello', { stream: true, stream_options: { include_usage: true, include_obfuscation: false } });
    expect(response.status).toBe(200);
    await response.text();
  });

  it('an unknown one is never dropped: to the origin, or 400 where the edge model was named', async () => {
    const unknown = { guided_regex: 'a+' };
    expect((await chat(withOrigin(), 'hello', unknown)).headers.get('x-nearside-route')).toBe('origin');
    expect(await failure(await chat(withOrigin(), 'hello', { ...unknown, model: 'edge-test' }))).toMatchObject({
      status: 400,
      code: 'unsupported_parameter',
      param: 'guided_regex',
    });
    expect(await failure(await chat(edgeOnly(), 'hello', unknown))).toMatchObject({ status: 503, code: 'no_route' });
  });

  it.each<[object, string]>([
    [{ stream: true, stream_options: { include_obfuscation: true } }, 'stream_options.include_obfuscation'],
    [{ messages: [{ ...user, weight: 1 }] }, 'messages[0].weight'],
    [{ tools: [{ type: 'function' }] }, 'tools'],
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ n: 2 }, 'n'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a/b.png' } }] }] },
      'messages[0].content[0].type',
    ],
  ])('%j is 400 where the edge model was named', async (body, param) => {
    expect(await failure(await chat(withOrigin(), 'hello', { ...body, model: 'edge-test' }))).toMatchObject({
      status: 400,
      code: 'unsupported_parameter',
      param,
    });
  });

  it('a message echoed as it was answered stays plain', async () => {
    const echoed = { role: 'assistant', content: 'Hi', refusal: null, annotations: [], audio: null };
    expect((await chat(edgeOnly(), 'hello', { model: 'edge-test', messages: [user, echoed, user] })).status).toBe(200);
  });
});
