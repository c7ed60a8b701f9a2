import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  chat,
  chatWith,
  edgeOnly,
  environment,
  eventually,
  failure,
  originOnly,
  seenByEngine,
  seenByOrigin,
  sendTo,
  withOrigin,
} from '../support.ts';

const json = { 'content-type': 'application/json' };
const dryRun = (variables: Parameters<typeof environment>[0], body: object = {}, headers: Record<string, string> = {}) =>
  sendTo(environment(variables), '/v1/route', {
    method: 'POST',
    headers: { ...json, ...headers },
    body: JSON.stringify({ model: 'nearside-auto', max_tokens: 16, messages: [{ role: 'user', content: 'hello' }], ...body }),
  });
const times = { p50: expect.any(Number), p95: expect.any(Number) };
const estimate = (model: string) => ({
  model,
  ttft_ms: times,
  total_ms: times,
  usd: expect.any(Number),
  quality: expect.any(Number),
  calibrated: false,
  output_tokens: { p50: 16, p95: 16 },
});

describe('POST /v1/route', () => {
  it('says where a request would go, why, and what is expected of both routes; and sends it nowhere', async () => {
    const { requests } = await seenByEngine();
    const response = await dryRun(withOrigin(), {}, { 'x-request-id': 'dry' });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      route: 'edge',
      model: 'edge-test',
      reasons: ['cheaper', 'gpu_idle'],
      expected: { edge: estimate('edge-test'), origin: estimate('origin-test') },
      policy: 'balanced',
      gate: false,
      race: false,
      features: expect.objectContaining({
        prompt_tokens: expect.any(Number),
        prompt_bytes: 5,
        max_tokens: 16,
        stream: false,
        kind: expect.any(String),
      }),
      runner_up: { route: 'origin', model: 'origin-test' },
    });
    expect(await seenByEngine()).toMatchObject({ requests });
    expect(await seenByOrigin('dry')).toBe(null);
  });

  it('has nothing of the prompt in its answer', async () => {
    const secret = 'my-secret-prompt 12345';
    expect(await (await dryRun(withOrigin(), { messages: [{ role: 'user', content: secret }] })).text()).not.toContain('secret');
  });

  it('tells of one route alone where there is no other', async () => {
    expect(await (await dryRun(edgeOnly())).json()).toMatchObject({
      route: 'edge',
      reasons: ['no_origin'],
      expected: { origin: null },
      runner_up: null,
    });
    expect(await (await dryRun(originOnly())).json()).toMatchObject({ route: 'origin', expected: { edge: null }, runner_up: null });
    expect(await (await dryRun(withOrigin(), { tools: [{ type: 'function', function: { name: 'f' } }] })).json()).toMatchObject({
      route: 'origin',
      reasons: ['tools'],
      features: { obstacles: ['tools'] },
    });
  });

  it('goes by the same headers, and refuses what a chat would be refused', async () => {
    expect(await (await dryRun(withOrigin(), {}, { 'x-nearside-policy': 'origin-only' })).json()).toMatchObject({
      route: 'origin',
      policy: 'origin-only',
    });
    expect(await failure(await dryRun(withOrigin(), {}, { 'x-nearside-policy': 'x' }))).toMatchObject({
      status: 400,
      param: 'x-nearside-policy',
    });
    expect(await failure(await dryRun(withOrigin(), { model: 'nobody' }))).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(await failure(await dryRun(withOrigin(), { messages: [] }))).toMatchObject({ status: 400, param: 'messages' });
    expect(await failure(await dryRun(edgeOnly(), { n: 2 }))).toMatchObject({ status: 503, code: 'no_route' });
    expect((await failure(await sendTo(environment(withOrigin()), '/v1/route'))).status).toBe(405);
    expect((await dryRun({ ...withOrigin(), NEARSIDE_DEV: '0', NEARSIDE_API_KEYS: 'a'.repeat(64) })).status).toBe(401);
  });

  it('is what then happens', async () => {
    for (const [body, headers] of [
      [{}, {}],
      [{ n: 2 }, {}],
      [{ max_tokens: 999 }, {}],
      [{}, { 'x-nearside-policy': 'edge-first' }],
    ] as [object, Record<string, string>][]) {
      const planned = await (await dryRun(withOrigin(), body, headers)).json<{ route: string; reasons: string[] }>();
      const response = await chat(withOrigin(), 'hello', body, { headers });
      expect([response.headers.get('x-nearside-route'), response.headers.get('x-nearside-reason')]).toEqual([
        planned.route,
        planned.reasons.join(', '),
      ]);
    }
  });
});

describe('x-nearside-estimate', () => {
  const part = (route: string) => `${route} ttft=\\d+ms total=\\d+ms usd=0(\\.\\d+)? q=[01]\\.\\d\\d`;

  it('says what was expected of both routes, the chosen one first', async () => {
    const header = async (policy: string, stream: boolean) =>
      (await chat(withOrigin(), 'hello', { stream }, { headers: { 'x-nearside-policy': policy } })).headers.get('x-nearside-estimate');
    expect(await header('balanced', false)).toMatch(new RegExp(`^${part('edge')}; ${part('origin')}$`));
    const bySeconds = await chat(withOrigin({ NEARSIDE_POLICY: '{"weights":{"cost":0,"latency":0,"quality":1}}' }), 'hello', {
      stream: true,
    });
    expect(bySeconds.headers.get('x-nearside-estimate')).toMatch(new RegExp(`^${part('origin')}; ${part('edge')}$`));
    expect(await header('edge-only', true)).toMatch(new RegExp(`^${part('edge')}$`));
  });
});

describe('the decision log', () => {
  let lines: string[] = [];
  beforeEach(() => {
    lines = [];
    vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(String(line)));
  });
  afterEach(() => vi.restoreAllMocks());
  const entry = (id: string) =>
    eventually('it is written', async () =>
      lines.map((line) => JSON.parse(line)).find((line) => line.event === 'decision' && line.id === id),
    );

  it.each<[string, object, object]>([
    ['edge', { stream: false }, { model: 'edge-test', promptTokens: 7, cachedTokens: 2, completionTokens: 2, end: 'stop' }],
    ['edge', { stream: true }, { model: 'edge-test', promptTokens: 7, completionTokens: 2, end: 'stop', ttftMs: expect.any(Number) }],
    [
      'origin',
      { stream: false, max_tokens: 999 },
      { model: 'origin-test', promptTokens: 11, completionTokens: 2, end: 'stop', ttftMs: null, reasons: 'max_tokens' },
    ],
    ['origin', { stream: true, max_tokens: 999 }, { model: 'origin-test', completionTokens: 2, end: 'stop', ttftMs: expect.any(Number) }],
  ])('sets what was expected of the %s beside what happened (%o)', async (route, body, expected) => {
    const id = `decision-${route}-${JSON.stringify(body).length}`;
    const script = route === 'origin' && 'stream' in body && body.stream ? 'tokens 2; finish; done' : 'hello';
    await (await chat(withOrigin(), script, body, { headers: { 'x-request-id': id } })).text();
    expect(await entry(id)).toMatchObject({
      route,
      policy: 'balanced',
      predictedTtftMs: expect.any(Number),
      predictedTotalMs: expect.any(Number),
      totalMs: expect.any(Number),
      predictedUsd: expect.any(Number),
      usd: expect.any(Number),
      gated: false,
      ...expected,
    });
  });

  it('has nothing of the prompt, the answer, or who asks', async () => {
    const headers = { 'x-request-id': 'quiet', authorization: 'Bearer my-key' };
    await (await chat(withOrigin(), 'hello my-secret-prompt', {}, { headers })).text();
    await entry('quiet');
    expect(lines.join()).not.toMatch(/my-secret|Hello|my-key/);
  });

  it('says when a client has left', async () => {
    const response = await chat(edgeOnly(), 'slow 20 500', { stream: true }, { headers: { 'x-request-id': 'left' } });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    expect(await entry('left')).toMatchObject({ route: 'edge', end: 'cancelled' });
  });

  it('teaches: what is expected of answers comes closer to what they are', async () => {
    const gateway = environment(withOrigin());
    const expected = async () => {
      const response = await sendTo(gateway, '/v1/route', {
        method: 'POST',
        headers: json,
        body: JSON.stringify({ model: 'nearside-auto', messages: [{ role: 'user', content: 'hello' }] }),
      });
      return (await response.json<{ expected: { origin: { output_tokens: { p50: number } } } }>()).expected.origin.output_tokens.p50;
    };
    const before = await expected();
    for (let i = 0; i < 20; i++) await (await chatWith(gateway, 'hello', { max_tokens: undefined, model: 'edge-test' })).text();
    await eventually('it has learnt', async () => (await expected()) < before / 4);
  });
});
