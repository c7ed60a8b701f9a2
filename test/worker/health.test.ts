import { describe, expect, inject, it } from 'vitest';
import { chat, edgeOnly, environment, eventually, failure, originOnly, send, sendTo, withOrigin } from './support.ts';

const json = async (response: Response): Promise<Record<string, unknown>> => ({
  status: response.status,
  ...((await response.json()) as Record<string, unknown>),
});

describe('/healthz', () => {
  it('says what is running, and that a fixture is one', async () => {
    const health = await json(await send(withOrigin(), '/healthz'));
    expect(health).toMatchObject({
      status: 'ok',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      edge: { configured: true, model: 'edge-test', state: 'ready', fixture: true },
      origin: { configured: true, model: 'origin-test' },
      note: expect.stringMatching(/random-weight fixture.*npm run dev -- --model/),
    });
    expect(JSON.stringify(health)).not.toContain(inject('originUrl'));
  });

  it('says what is missing', async () => {
    expect(await json(await send(originOnly(), '/healthz'))).toMatchObject({ edge: { configured: false } });
    expect(await json(await send(edgeOnly(), '/healthz'))).toMatchObject({ origin: { configured: false } });
  });

  it('says what is wrong with the settings', async () => {
    const wrong = edgeOnly({ NEARSIDE_EDGE_MAX_TOKENS: 'lots' });
    expect(await json(await send(wrong, '/healthz'))).toMatchObject({
      status: 'misconfigured',
      error: expect.stringContaining('NEARSIDE_EDGE_MAX_TOKENS'),
    });
    expect((await send(wrong, '/readyz')).status).toBe(503);
    for (const response of [await chat(wrong, 'hello'), await send(wrong, '/v1/models'), await send(wrong, '/v1/models/x')]) {
      expect(await failure(response)).toMatchObject({
        status: 500,
        code: 'configuration_error',
        message: expect.stringContaining('NEARSIDE_EDGE_MAX_TOKENS'),
      });
    }
  });
});

describe('/readyz', () => {
  it.each<[string, () => Parameters<typeof send>[0], number, object]>([
    ['an edge', edgeOnly, 200, { ready: true, edge: 'ready' }],
    ['an origin', originOnly, 200, { ready: true, edge: 'not configured', origin: 'ready' }],
    [
      'an origin that is down',
      () => originOnly({ NEARSIDE_ORIGIN_URL: 'http://127.0.0.1:9/v1' }),
      503,
      { ready: false, origin: 'unreachable' },
    ],
    ['nothing', () => ({ ...edgeOnly(), EDGE_MODEL: undefined }), 503, { ready: false }],
    ['no keys', () => ({}), 503, { ready: false, reason: 'auth_not_configured' }],
  ])('with %s', async (_, variables, status, body) => {
    const { status: actual, ...rest } = await json(await send(variables(), '/readyz'));
    expect(actual).toBe(status);
    expect(rest).toMatchObject(body);
  });
});

describe('/readyz, asked by a crowd', () => {
  it('asks the origin once a moment, and notices all the same when it is gone', async () => {
    let asked = 0;
    let status = 200;
    const fetch = async () => {
      asked++;
      return new Response('{}', { status });
    };
    const pool = { model: 'm', modalities: ['text'], endpoints: [{ url: 'https://origin.example/v1', binding: 'ORIGIN_COUNTED' }] };
    const settings = { NEARSIDE_DEV: '1', NEARSIDE_ORIGINS: JSON.stringify([pool]), EDGE_MODEL: undefined, ORIGIN_MONITOR: undefined };
    const crowded = environment({ ...settings, ORIGIN_COUNTED: { fetch } } as Parameters<typeof environment>[0]);
    const statuses = new Set<number>();
    for (let i = 0; i < 20; i++) statuses.add((await sendTo(crowded, '/readyz')).status);
    expect([...statuses]).toEqual([200]);
    expect(asked).toBeLessThan(10);
    await scheduler.wait(1_100);
    const before = asked;
    await Promise.all(Array.from({ length: 20 }, () => sendTo(crowded, '/readyz')));
    expect(asked - before).toBeLessThan(10);
    status = 500;
    await eventually('the origin is missed', async () => (await sendTo(crowded, '/readyz')).status === 503);
  });
});

describe('/v1/models', () => {
  it('lists the names to choose a route by', async () => {
    const list = await json(await send(withOrigin({ NEARSIDE_ORIGIN_MODEL: 'Qwen/Qwen3.5-9B' }), '/v1/models'));
    expect(list.object).toBe('list');
    expect(list.data).toEqual(
      ['nearside-auto', 'edge-test', 'Qwen/Qwen3.5-9B'].map((id) => ({
        id,
        object: 'model',
        created: expect.any(Number),
        owned_by: expect.any(String),
      })),
    );
  });

  it('offers the edge model under the name it was given', async () => {
    const named = edgeOnly({ NEARSIDE_EDGE_MODEL: 'tiny' });
    expect((await json(await send(named, '/v1/models'))).data).toMatchObject([{ id: 'nearside-auto' }, { id: 'tiny' }]);
    const answer = await chat(named, 'hello', { model: 'tiny' });
    expect(answer.headers.get('x-nearside-model')).toBe('tiny');
    expect(await answer.json()).toMatchObject({ model: 'tiny' });
    expect((await chat(named, 'hello', { model: 'edge-test' })).status).toBe(404);
  });

  it('finds one by its name, slashes and all', async () => {
    const variables = withOrigin({ NEARSIDE_ORIGIN_MODEL: 'Qwen/Qwen3.5-9B' });
    for (const path of ['/v1/models/Qwen/Qwen3.5-9B', '/v1/models/Qwen%2FQwen3.5-9B']) {
      expect(await json(await send(variables, path))).toMatchObject({ status: 200, id: 'Qwen/Qwen3.5-9B', object: 'model' });
    }
  });

  it('does not know others', async () => {
    expect(await failure(await send(edgeOnly(), '/v1/models/gpt-4'))).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
    expect(await failure(await chat(edgeOnly(), 'hello', { model: 'gpt-4' }))).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
  });
});
