import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  attemptsAtOrigins,
  chat,
  chatWith,
  dataOf,
  endpoint,
  environment,
  eventually,
  failure,
  seenByOrigin,
  sendTo,
  withPools,
} from './support.ts';

const tagged = (id: string) => ({ headers: { 'x-request-id': id } });
const stream = { model: 'pool', stream: true };
const whole = { model: 'pool' };
/** Asked in this order: only a lower priority number decides. */
const inOrder = (...names: string[]) => names.map((name, priority) => endpoint(name, { priority }));
const pool = (names: string[], more: object = {}) => ({ model: 'pool', endpoints: inOrder(...names), ...more });
const good = 'tokens 2; finish; done';
const askedOf = async (id: string) => (await attemptsAtOrigins(id)).map((attempt) => attempt.endpoint);

afterEach(() => {
  vi.useRealTimers();
});

describe('an endpoint that fails before its first token', () => {
  it.each([
    'status 500',
    'status 502',
    'status 503',
    'status 429',
    'status 408',
    'status 401',
    'cut',
    'reset',
    'html',
    'error; done',
    'role; cut',
    'role; reset',
    'comment; role; half; cut',
    'type text/event-stream',
    'write data: nonsense\\n\\n',
  ])('with "%s" is replaced by another one', async (script) => {
    const id = `replaced-${script.replace(/[^a-z0-9]+/g, '-')}`;
    const response = await chat(withPools([pool(['a', 'b'])]), `a> ${script} || b> ${good}`, stream, tagged(id));
    expect(response.headers.get('x-nearside-reason')).toBe('origin_model_requested, retried');
    expect(dataOf(await response.text()).at(-1)).toBe('[DONE]');
    expect(await askedOf(id)).toEqual(['a', 'b']);
  });

  it('is replaced when nobody is there at all', async () => {
    const endpoints = [{ name: 'gone', url: 'http://127.0.0.1:9/v1' }, endpoint('b', { priority: 1 })];
    for (const body of [stream, whole]) expect((await chat(withPools([{ model: 'pool', endpoints }]), 'hello', body)).status).toBe(200);
  });

  it('is not replaced when it has found fault with the request', async () => {
    const response = await chat(withPools([pool(['a', 'b'])]), 'status 400', stream, tagged('faulty'));
    expect(response.status).toBe(400);
    expect(await askedOf('faulty')).toEqual(['a']);
  });

  it('is tried again when it is the only one', async () => {
    expect((await chat(withPools([pool(['a'])]), '1> status 500 || 2> cut', whole, tagged('alone'))).status).toBe(200);
    expect(await askedOf('alone')).toEqual(['a', 'a', 'a']);
  });

  it('is asked for with two more attempts at most, or none', async () => {
    expect((await chat(withPools([pool(['a', 'b', 'c', 'd'])]), 'status 500', whole, tagged('most'))).status).toBe(502);
    expect(await askedOf('most')).toEqual(['a', 'b', 'c']);
    expect((await chat(withPools([pool(['a', 'b'], { retries: 0 })]), 'status 500', whole, tagged('none'))).status).toBe(502);
    expect(await askedOf('none')).toEqual(['a']);
  });

  it('after its first token is not replaced: nothing is answered twice', async () => {
    const text = await (await chat(withPools([pool(['a', 'b'])]), `a> tokens 1; cut || b> ${good}`, stream, tagged('begun'))).text();
    expect(dataOf(text).at(-1)).toMatchObject({ error: { code: 'origin_stream_broken' } });
    expect(text).not.toContain('[DONE]');
    expect(await askedOf('begun')).toEqual(['a']);
  });

  it('does not get a request repeated that must not be, unless it has plainly refused it', async () => {
    const stored = { ...whole, store: true };
    expect((await chat(withPools([pool(['a', 'b'])]), 'a> cut', stored, tagged('stored'))).status).toBe(502);
    expect(await askedOf('stored')).toEqual(['a']);
    expect((await chat(withPools([pool(['a', 'b'])]), 'a> status 429', stored)).status).toBe(200);
  });
});

describe('a pause that an endpoint asks for', () => {
  it.each([
    ['retry-after-ms=120', 100],
    ['retry-after=1', 950],
  ])('of up to a second (%s) is waited for', async (header, least) => {
    const started = Date.now();
    expect((await chat(withPools([pool(['a'])]), `1> status 429 ${header}`, whole)).status).toBe(200);
    expect(Date.now() - started).toBeGreaterThanOrEqual(least);
  });

  it.each([
    ['status 429 retry-after=2', 429, '2'],
    ['status 503 retry-after-ms=1500', 503, '2'],
    ['status 429', 429, '17'],
  ])('of more (%s) is told to the client', async (script, status, retryAfter) => {
    const response = await chat(withPools([pool(['a'])]), script, whole, tagged(`pause-${script.replaceAll(' ', '-')}`));
    expect([response.status, response.headers.get('retry-after')]).toEqual([status, retryAfter]);
    expect(await askedOf(`pause-${script.replaceAll(' ', '-')}`)).toHaveLength(1);
  });

  it('is no reason to wait while there is another endpoint', async () => {
    const response = await chat(withPools([pool(['a', 'b'])]), 'a> status 429 retry-after=60', whole);
    expect(response.headers.get('x-nearside-reason')).toBe('origin_model_requested, retried');
  });
});

describe('an outage', () => {
  it('is not multiplied: retries are a tenth of the requests, and a few', async () => {
    const gateway = environment(withPools([pool(['a', 'b'])]));
    for (let i = 0; i < 40; i++) await (await chatWith(gateway, 'status 500', whole, tagged(`outage-${i}`))).text();
    let attempts = 0;
    for (let i = 0; i < 40; i++) attempts += (await askedOf(`outage-${i}`)).length;
    expect(attempts).toBeGreaterThan(45);
    expect(attempts).toBeLessThanOrEqual(40 + 10 + 4);
  });

  it('of one endpoint is noticed: after three failures it is left alone', async () => {
    const gateway = environment(withPools([pool(['a', 'b'])]));
    for (let i = 0; i < 6; i++) expect((await chatWith(gateway, 'a> reset', whole, tagged(`ejected-${i}`))).status).toBe(200);
    expect(await askedOf('ejected-2')).toEqual(['a', 'b']);
    expect(await askedOf('ejected-3')).toEqual(['b']);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 6_000 });
    await chatWith(gateway, 'hello', whole, tagged('half-open'));
    await chatWith(gateway, 'hello', whole, tagged('back'));
    expect([...(await askedOf('half-open')), ...(await askedOf('back'))]).toEqual(['a', 'a']);
  });
});

describe('a pool that sleeps', () => {
  it('is woken, and its requests answered at the edge or told when to come back', async () => {
    const gateway = environment(withPools([pool(['asleep'], { retries: 0 })]));
    const sleeping = 'asleep> status 503';
    for (let i = 0; i < 3; i++) expect((await failure(await chatWith(gateway, sleeping, whole))).code).toBe('origin_unavailable');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 4_000 });
    const small = await chatWith(gateway, sleeping, { max_tokens: undefined }, tagged('edge-meanwhile'));
    expect(small.headers.get('x-nearside-route')).toBe('edge');
    expect(small.headers.get('x-nearside-reason')).toBe('origin_cold, edge_max_tokens_cap');
    expect(await seenByOrigin('edge-meanwhile')).toBe(null);
    // The wake-up call finds it awake: the script says so to a greeting.
    await eventually('it was woken', () => seenByOrigin('edge-meanwhile-wake'));
    await eventually('it answers again', async () => (await chatWith(gateway, 'hello', whole)).status === 200);
  });

  it('is not asked by every request meanwhile', async () => {
    const gateway = environment(withPools([pool(['asleep-2'], { retries: 0 })]));
    for (let i = 0; i < 3; i++) await chatWith(gateway, 'status 503', whole);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 4_000 });
    const response = await chatWith(gateway, 'status 503', whole, tagged('told'));
    expect(response.headers.get('retry-after')).toBe('30');
    expect(await failure(response)).toMatchObject({ status: 503, code: 'origin_cold' });
    expect(await seenByOrigin('told')).toBe(null);
  });
});

describe('a first token that is late', () => {
  /** A gateway that knows how fast its endpoints are. */
  async function warm(names: string[]) {
    const gateway = environment(withPools([pool(names)]));
    for (let i = 0; i < 22; i++) await (await chatWith(gateway, good, stream)).text();
    return gateway;
  }

  it('makes a second endpoint be asked; the first to answer wins and the other is called off', async () => {
    const gateway = await warm(['a', 'b']);
    const response = await chatWith(gateway, `a> stall || b> ${good}`, stream, tagged('hedged'));
    expect(response.headers.get('x-nearside-reason')).toBe('origin_model_requested, hedged');
    expect(dataOf(await response.text()).filter((event) => event.choices?.[0].delta.content)).toHaveLength(2);
    await eventually(
      'the first was called off',
      async () => (await attemptsAtOrigins('hedged')).find((seen) => seen.endpoint === 'a')?.aborted,
    );
    expect((await attemptsAtOrigins('hedged')).find((seen) => seen.endpoint === 'b')?.aborted).toBe(false);
  });

  it('may still win', async () => {
    const gateway = await warm(['a', 'b']);
    const text = await (await chatWith(gateway, `a> wait 400; ${good} || b> stall`, stream, tagged('first-wins'))).text();
    expect(dataOf(text).at(-1)).toBe('[DONE]');
    await eventually('the second was called off', async () => (await attemptsAtOrigins('first-wins'))[1]?.aborted);
  });

  it('is hedged within a twentieth of the requests, and a few', async () => {
    const gateway = await warm(['a', 'b']);
    const ids = Array.from({ length: 8 }, (_, i) => `hedge-budget-${i}`);
    for (const id of ids) await (await chatWith(gateway, `a> wait 500; ${good} || b> wait 500; ${good}`, stream, tagged(id))).text();
    let attempts = 0;
    for (const id of ids) attempts += (await askedOf(id)).length;
    expect(attempts).toBeGreaterThan(8);
    expect(attempts).toBeLessThanOrEqual(8 + 3);
  });

  it('is waited for where a request must not be done twice', async () => {
    const gateway = await warm(['a', 'b']);
    const asking = chatWith(gateway, `a> wait 600; ${good} || b> ${good}`, { ...stream, store: true }, tagged('stored-hedge'));
    expect((await asking).headers.get('x-nearside-reason')).toBe('origin_model_requested');
    expect(await askedOf('stored-hedge')).toEqual(['a']);
  });

  it('is left to those who asked when the client leaves: all are called off', async () => {
    const gateway = await warm(['a', 'b']);
    const leave = new AbortController();
    const asking = chatWith(gateway, 'stall', stream, { ...tagged('left-hedge'), signal: leave.signal });
    await eventually('both were asked', async () => (await askedOf('left-hedge')).length === 2);
    leave.abort();
    await asking.catch(() => {});
    await eventually('both were called off', async () => (await attemptsAtOrigins('left-hedge')).every((seen) => seen.aborted));
  });
});

describe('a client that leaves', () => {
  it('stops a retry, and what would follow it', async () => {
    const leave = new AbortController();
    const asking = chat(withPools([pool(['a', 'b', 'c'])]), 'a> status 500 || b> stall', stream, {
      ...tagged('left-retry'),
      signal: leave.signal,
    });
    await eventually('the second was asked', async () => (await askedOf('left-retry')).length === 2);
    leave.abort();
    await asking.catch(() => {});
    await eventually('it was called off', async () => (await attemptsAtOrigins('left-retry'))[1]?.aborted);
    expect(await askedOf('left-retry')).toEqual(['a', 'b']);
  });

  it('leaves nothing in flight', async () => {
    const gateway = environment(withPools([pool(['a'])]));
    const response = await chatWith(gateway, 'tokens 500 20', stream, tagged('left-flight'));
    await response.body!.cancel();
    const inFlight = async () =>
      (await (await sendTo(gateway, '/healthz')).json<{ origin: { pools: { inFlight: number }[] } }>()).origin.pools[0]!.inFlight;
    await eventually('it was forgotten', async () => (await inFlight()) === 0);
  });
});

describe('timeouts', () => {
  const timed = (timeouts: object, script: string, body: object) => chat(withPools([pool(['a'], { timeouts, retries: 0 })]), script, body);

  it('are longer for long prompts', async () => {
    const slow = 'wait 300; tokens 1; finish; done';
    const padded = [
      { role: 'user', content: 'x'.repeat(8_000) },
      { role: 'user', content: slow },
    ];
    const timeouts = { headers_ms: 100, first_token_ms: 100, per_1k_tokens_ms: 1_000 };
    expect((await failure(await timed(timeouts, slow, stream))).code).toBe('origin_timeout');
    expect((await timed(timeouts, '', { ...stream, messages: padded })).status).toBe(200);
  });

  it('are longer for thinking', async () => {
    const slow = 'role; wait 300; tokens 1; finish; done';
    const timeouts = { first_token_ms: 100, thinking_first_token_ms: 2_000 };
    expect((await timed(timeouts, slow, stream)).status).toBe(504);
    expect((await timed(timeouts, slow, { ...stream, reasoning_effort: 'low' })).status).toBe(200);
  });

  it('count reasoning as a first token', async () => {
    const thinking = `raw ${JSON.stringify({ choices: [{ index: 0, delta: { reasoning_content: 'Hm' } }] })}; wait 300; tokens 1; finish; done`;
    expect(dataOf(await (await timed({ first_token_ms: 150 }, thinking, stream)).text()).at(-1)).toBe('[DONE]');
  });

  it('end a stream that goes on for too long', async () => {
    const text = await (await timed({ total_ms: 300 }, 'tokens 500 20', stream)).text();
    expect(dataOf(text).at(-1)).toMatchObject({ error: { code: 'origin_timeout' } });
  });

  it('end all attempts together, not each of them', async () => {
    const slow = { model: 'pool', endpoints: inOrder('a', 'b', 'c'), timeouts: { headers_ms: 400, total_ms: 700 } };
    expect((await failure(await chat(withPools([slow]), 'stall', stream, tagged('in-all')))).code).toBe('origin_timeout');
    // A third one would have had no time.
    expect(await askedOf('in-all')).toEqual(['a', 'b']);
  });

  it('leave an answer after a retry only what is left', async () => {
    const script = 'a> wait 700; status 500 || b> tokens 500 20';
    const text = await (await chat(withPools([pool(['a', 'b'], { timeouts: { total_ms: 1000 } })]), script, stream)).text();
    const events = dataOf(text);
    expect(events.at(-1)).toMatchObject({ error: { code: 'origin_timeout' } });
    // 300 ms of tokens that come every 20, and not 1,000.
    expect(events.length).toBeLessThan(35);
  });

  it('are followed by another endpoint', async () => {
    const response = await chat(withPools([pool(['a', 'b'], { timeouts: { headers_ms: 150 } })]), `a> stall || b> ${good}`, stream);
    expect(response.headers.get('x-nearside-reason')).toBe('origin_model_requested, retried');
  });
});
