import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Env } from '../../../worker/config.ts';
import {
  attemptsAtOrigins,
  chat,
  chatWith,
  endpoint,
  environment,
  eventually,
  seenByEngine,
  seenByOrigin,
  sendTo,
  setEngine,
  withOrigin,
  withPools,
} from '../support.ts';

/** A GPU that is there anyway costs nearly nothing: then time decides. */
const always = { NEARSIDE_ORIGIN_PRICE: '{"gpu_hour":1,"keep_seconds":null}' };
const fast = { prefill: 2_000, decode: 400, decodeBatch: 1, running: 0, queued: 0, slots: 4, warm: true, loadMs: 500 };
/** Time is all that counts. */
const hurry = { NEARSIDE_POLICY: '{"weights":{"cost":0,"latency":1,"quality":0},"min_quality":0}', ...always };
const tagged = (id: string) => ({ headers: { 'x-request-id': id } });
const route = (response: Response) => response.headers.get('x-nearside-route');
const reason = (response: Response) => response.headers.get('x-nearside-reason');

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await setEngine({});
});

describe('what the engine says beside its replies', () => {
  it('changes where the next request goes, and no request is asked for it', async () => {
    await setEngine({ figures: fast });
    const gateway = environment(withOrigin(hurry));
    expect([route(await chatWith(gateway, 'hello')), (await chatWith(gateway, 'hello')).status]).toEqual(['edge', 200]);
    await setEngine({ figures: { ...fast, running: 4, queued: 30, serviceMs: 4_000 } });
    await (await chatWith(gateway, 'hello')).text();
    const { requests } = await seenByEngine();
    const response = await chatWith(gateway, 'hello');
    expect([route(response), reason(response)]).toEqual(['origin', 'faster, queue_long']);
    expect(await seenByEngine()).toMatchObject({ requests });
  });

  it('comes with a refusal, too', async () => {
    await setEngine({ figures: fast });
    const gateway = environment(withOrigin(hurry));
    await (await chatWith(gateway, 'hello')).text();
    await setEngine({ figures: { ...fast, running: 4, queued: 30 } });
    expect(reason(await chatWith(gateway, 'refuse queue_full'))).toBe('queue_full');
    expect(route(await chatWith(gateway, 'hello'))).toBe('origin');
  });

  it('is forgotten: a full queue of a minute ago is none', async () => {
    await setEngine({ figures: { ...fast, running: 4, queued: 30 } });
    const gateway = environment(withOrigin(hurry));
    await (await chatWith(gateway, 'hello', { model: 'edge-test' })).text();
    expect(route(await chatWith(gateway, 'hello'))).toBe('origin');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    expect(route(await chatWith(gateway, 'hello'))).toBe('edge');
  });

  it.each<[string, object]>([
    ['no numbers', { prefill: 'fast', decode: {}, running: null, queued: [], warm: 'yes', loadMs: '1' }],
    ['numbers that cannot be', { prefill: 1e30, decode: -1, running: -5, queued: 1e300, slots: 0, loadMs: -1, serviceMs: 1e99 }],
  ])('that is %s pins nothing: it is as if nothing had been said', async (_, figures) => {
    const gateway = environment(withOrigin(always));
    const before = await chatWith(gateway, 'hello');
    await before.text();
    await setEngine({ figures });
    await (await chatWith(gateway, 'hello')).text();
    const after = await chatWith(gateway, 'hello');
    expect([after.status, route(after)]).toEqual([200, route(before)]);
    expect(after.headers.get('x-nearside-estimate')).not.toMatch(/NaN|Infinity|e\+/);
  });

  it('that is wrong and believable loses its hold within minutes', async () => {
    await setEngine({ figures: { ...fast, prefill: 0.1, decode: 0.1 } });
    const gateway = environment(withOrigin(hurry));
    await (await chatWith(gateway, 'hello', { model: 'edge-test' })).text();
    expect(route(await chatWith(gateway, 'hello'))).toBe('origin');
    const expected = async () =>
      Number(/edge ttft=(\d+)ms/.exec((await chatWith(gateway, 'hello')).headers.get('x-nearside-estimate')!)?.[1]);
    const first = await expected();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
    expect(await expected()).toBeLessThan(first / 20);
  });
});

describe('the exact count of the prompt', () => {
  it('changes the decision before anything is evaluated, and stops the edge', async () => {
    await setEngine({ figures: { ...fast, prefill: 100 } });
    const id = 'counted-long';
    const response = await chat(withOrigin(hurry), 'count 250 0', {}, tagged(id));
    expect([route(response), reason(response)]).toEqual(['origin', 'faster']);
    expect(await response.text()).toContain('"model":"origin-test"');
    await eventually('the engine stopped', async () => (await seenByEngine()).aborted.includes(id));
  });

  it('changes nothing where what is cached makes up for it', async () => {
    await setEngine({ figures: { ...fast, prefill: 100 } });
    expect(route(await chat(withOrigin(hurry), 'count 250 245'))).toBe('edge');
  });

  it('changes nothing where there is no choice', async () => {
    await setEngine({ figures: { ...fast, prefill: 100 } });
    expect(route(await chat(withOrigin(hurry), 'count 250 0', { model: 'edge-test' }))).toBe('edge');
  });

  it('sets the next estimates right', async () => {
    const gateway = environment(withOrigin());
    const tokens = async () => {
      const body = JSON.stringify({ model: 'nearside-auto', max_tokens: 16, messages: [{ role: 'user', content: 'count 60 0' }] });
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
      return (await (await sendTo(gateway, '/v1/route', init)).json<{ features: { prompt_tokens: number } }>()).features.prompt_tokens;
    };
    const before = await tokens();
    for (let i = 0; i < 20; i++) await (await chatWith(gateway, 'count 60 0', { model: 'edge-test' })).text();
    expect(Math.abs((await tokens()) - 60)).toBeLessThan(0.4 * Math.abs(before - 60));
  });
});

describe('pools with a quality', () => {
  const pools = (quality: number | undefined) => [
    { model: 'first', price: { input: 5, output: 15 }, endpoints: [endpoint('first')] },
    { model: 'second', price: { input: 0.01, output: 0.02 }, quality, endpoints: [endpoint('second')] },
  ];
  const model = async (quality: number | undefined) =>
    (await chat(withPools(pools(quality)), 'hello', {}, { headers: { 'x-nearside-policy': 'origin-only' } })).headers.get(
      'x-nearside-model',
    );

  it('are weighed against the first one; others are not', async () => {
    expect(await model(undefined)).toBe('first');
    expect(await model(0.95)).toBe('second');
    expect(await model(0.1)).toBe('first');
  });

  it('stand in for one that fails', async () => {
    const response = await chat(withPools([{ ...pools(1)[0]!, retries: 0 }, pools(0.1)[1]!]), 'first> status 500', { n: 2 });
    expect([response.status, response.headers.get('x-nearside-model')]).toEqual([200, 'second']);
  });
});

describe('a pool that hangs', () => {
  const better = '{"weights":{"cost":0,"latency":0,"quality":1}}';
  const timeouts = { NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS: '50', NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS: '50' };

  it('costs a few requests their time: then it is asked only where the edge may not answer, until it may be back', async () => {
    const gateway = environment(
      withPools([{ model: 'silent', retries: 0, endpoints: [endpoint('silent')] }], { NEARSIDE_POLICY: better, ...timeouts }),
    );
    const ask = async (id: string, body: object = {}) => {
      const response = await chatWith(gateway, 'silent> stall', { stream: true, ...body }, tagged(id));
      await response.text();
      return [response.status, route(response), reason(response), (await attemptsAtOrigins(id)).length];
    };
    for (const id of ['hangs-1', 'hangs-2', 'hangs-3']) expect(await ask(id)).toEqual([200, 'edge', 'origin_unavailable', 1]);
    expect(await ask('hangs-4')).toEqual([200, 'edge', 'origin_unavailable', 0]);
    expect(await ask('hangs-5', { n: 2 })).toEqual([504, null, 'origin_unavailable, n', 1]);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    expect(await ask('hangs-6')).toEqual([200, 'edge', 'origin_unavailable', 1]);
  });
});

describe('a pool that holds requests while it starts', () => {
  const asleep = { NEARSIDE_ORIGIN_PRICE: '{"gpu_hour":1,"start_seconds":0.6,"keep_seconds":1}' };
  const held = 'wait 700; role; tokens 2; finish; done';
  const expectedTtft = (response: Response) => Number(/origin ttft=(\d+)ms/.exec(response.headers.get('x-nearside-estimate')!)?.[1]);

  it('is expected to be asleep once it has been left alone, when that has been found a few times', async () => {
    const gateway = environment(withOrigin(asleep));
    const ask = async (script: string) => {
      const response = await chatWith(gateway, script, { model: 'origin-test', stream: true });
      await response.text();
      return expectedTtft(response);
    };
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now(), shouldAdvanceTime: true });
    const before = await ask(held);
    for (let i = 0; i < 5; i++) await ask(held);
    vi.setSystemTime(Date.now() + 600_000);
    expect(await ask(held)).toBeGreaterThan(before + 300);
    vi.setSystemTime(Date.now() + 3_000);
    await eventually('it has just answered, so it is up', async () => (await ask(held)) < before + 300);
  });
});

describe('the difficulty model', () => {
  const withDifficulty = (answer: () => Promise<Response> | Response) => {
    const asked: string[] = [];
    const binding = {
      async fetch(_: string, init: RequestInit) {
        asked.push(String(init.body));
        return answer();
      },
    };
    return { asked, gateway: environment({ ...withOrigin({ NEARSIDE_DIFFICULTY: '1' }), DIFFICULTY: binding } as unknown as Env) };
  };
  const hard = () => Response.json({ weakFails: 0.999, strongHelps: 0.9 });

  it('is asked where both routes are open, and only there', async () => {
    const { asked, gateway } = withDifficulty(hard);
    await chatWith(gateway, 'hello', { n: 2 });
    await chatWith(gateway, 'hello', { model: 'edge-test' });
    await chatWith(gateway, 'hello', {}, { headers: { 'x-nearside-policy': 'edge-only' } });
    expect(asked).toEqual([]);
    const response = await chatWith(gateway, 'hello');
    expect(asked).toEqual(['hello']);
    expect([route(response), reason(response)]).toEqual(['origin', 'low_confidence']);
  });

  it.each<[string, () => Promise<Response> | Response]>([
    ['fails', () => Promise.reject(new Error('gone'))],
    ['never answers', () => new Promise<Response>(() => {})],
    ['makes no sense', () => new Response('what?')],
  ])('that %s is gone on without', async (_, answer) => {
    const { gateway } = withDifficulty(answer);
    expect(route(await chatWith(gateway, 'hello'))).toBe('edge');
  });
});

it('an origin that is asked learns nothing it should not: no header of the router goes along', async () => {
  await chat(withOrigin(), 'hello', { model: 'origin-test' }, { headers: { 'x-request-id': 'quiet', 'x-nearside-policy': 'latency' } });
  expect(Object.keys((await seenByOrigin('quiet'))!.headers).filter((name) => name.startsWith('x-nearside'))).toEqual([]);
});
