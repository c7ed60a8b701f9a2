import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { chat, chatWith, dataOf, environment, eventually, seenByEngine, seenByOrigin, setEngine, withOrigin } from '../support.ts';

/** The least sure of four tokens has to have a log-probability of -1 at least. */
const gate = { tokens: 4, statistic: 'quantile', quantile: 0, threshold: -1, declines: [], accepted: 0.7, precision: 0.9, target: 0.9 };
const calibration = (change: object = {}) => ({
  version: 1,
  model: 'edge-test',
  calibrated: true,
  weights: { intercept: 3 },
  curve: [],
  gate: { ...gate, ...change },
  evidence: null,
});
const tagged = (id: string) => ({ headers: { 'x-request-id': id } });
const head = (response: Response) => [response.headers.get('x-nearside-route'), response.headers.get('x-nearside-reason')];

let lines: Record<string, unknown>[] = [];
beforeEach(async () => {
  lines = [];
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(JSON.parse(String(line))));
  await setEngine({ status: { calibration: calibration() } });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await setEngine({});
});

const decisions = (id: string) => lines.filter(({ event, id: of }) => event === 'decision' && of === id);

describe('an answer that begins with too little confidence', () => {
  it.each([false, true])('goes to the origin before a byte of it has left (stream: %s)', async (stream) => {
    const id = `unsure-${stream}`;
    const response = await chat(withOrigin(), 'sure -0.1 -0.2 -3 -0.1 -0.1', { stream }, tagged(id));
    expect(head(response)).toEqual(['origin', 'low_gate']);
    const text = await response.text();
    expect(text).toContain('"model":"origin-test"');
    expect(text).not.toMatch(/s0|s1|edge-test/);
    await eventually('the engine stopped', async () => (await seenByEngine()).aborted.includes(id));
  });

  it('is counted: what it took and cost is in the log, beside the answer of the origin', async () => {
    await (await chat(withOrigin(), 'sure -0.1 -3', {}, tagged('counted'))).text();
    const [lost, answered] = await eventually('both are written', async () => decisions('counted').length === 2 && decisions('counted'));
    expect(lost).toMatchObject({ route: 'edge', end: 'escalated', gated: true, totalMs: expect.any(Number), usd: expect.any(Number) });
    expect(lost!.usd).toBeGreaterThan(0);
    expect(answered).toMatchObject({ route: 'origin', end: 'stop', reasons: 'low_gate', gated: false });
  });

  it('makes further ones more likely, as far as the estimate goes', async () => {
    const gateway = environment(withOrigin({ NEARSIDE_ORIGIN_PRICE: '{"input":5,"output":15}' }));
    const expectedUsd = async () =>
      Number(/edge [^;]*usd=([\d.]+)/.exec((await chatWith(gateway, 'sure -0.1 -0.1')).headers.get('x-nearside-estimate')!)?.[1]);
    const before = await expectedUsd();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    for (let i = 0; i < 12; i++) await (await chatWith(gateway, 'sure -5', {}, { headers: { 'x-nearside-policy': 'edge-first' } })).text();
    // Figures made of what was learnt are kept for two seconds.
    vi.setSystemTime(Date.now() + 3_000);
    expect(await expectedUsd()).toBeGreaterThan(before);
    vi.useRealTimers();
  });

  it('also where the stream has begun with comments: then a comment says who answers', async () => {
    const variables = withOrigin({ NEARSIDE_COMMIT_AFTER_MS: '30', NEARSIDE_KEEPALIVE_MS: '40' });
    // No token of it comes with a log-probability, which is as good as an unsure one.
    const response = await chat(variables, 'slow 60 4', { stream: true });
    expect(head(response)[0]).toBe('edge');
    const text = await response.text();
    expect(text.startsWith(': keep-alive\n\n')).toBe(true);
    expect(text).toContain(': origin-test: low_gate\n\n');
    expect(text).not.toContain('edge-test');
    expect(dataOf(text)[0].model).toBe('origin-test');
    expect(dataOf(text).at(-1)).toBe('[DONE]');
  });

  it('is sent all the same when the origin fails, too: it is better than none', async () => {
    const down = withOrigin({ NEARSIDE_ORIGIN_URL: 'http://127.0.0.1:9/v1' });
    const late = { NEARSIDE_COMMIT_AFTER_MS: '30', NEARSIDE_KEEPALIVE_MS: '40' };
    for (const [variables, script, stream, token] of [
      [down, 'sure -3 -3', false, 's0 '],
      [down, 'sure -3 -3', true, 's0 '],
      [{ ...down, ...late }, 'slow 60 2', true, '0 '],
    ] as const) {
      const response = await chat(variables, script, { stream });
      expect(head(response)[0]).toBe('edge');
      expect(await response.text()).toContain(`"content":"${token}`);
    }
  });

  it('is what a text that declines is, however sure', async () => {
    await setEngine({ status: { calibration: calibration({ declines: ['s0 s1'] }) } });
    expect(head(await chat(withOrigin(), 'sure -0.1 -0.1 -0.1'))).toEqual(['origin', 'low_gate']);
  });

  it('by its margins, where the gate goes by them', async () => {
    await setEngine({ status: { calibration: calibration({ statistic: 'margin', threshold: 2 }) } });
    expect(head(await chat(withOrigin(), 'sure -0.1 -0.1'))).toEqual(['origin', 'low_gate']);
    await setEngine({ status: { calibration: calibration({ statistic: 'margin', threshold: 0.5 }) } });
    expect(head(await chat(withOrigin(), 'sure -0.1 -0.1'))[0]).toBe('edge');
  });
});

describe('an answer that passes', () => {
  it.each([false, true])('arrives whole, without the log-probabilities that nobody asked for (stream: %s)', async (stream) => {
    const response = await chat(withOrigin(), 'sure -0.1 -0.2 -0.3 -0.1 -9', { stream });
    expect(head(response)[0]).toBe('edge');
    const text = await response.text();
    expect(text).not.toMatch(/"logprob"/);
    const content = stream
      ? dataOf(text)
          .map((chunk) => chunk.choices?.[0].delta.content ?? '')
          .join('')
      : JSON.parse(text).choices[0].message.content;
    expect(content).toBe('s0 s1 s2 s3 s4 ');
    if (stream) expect(dataOf(text).filter((chunk) => chunk.choices?.[0].delta.content === '')).toHaveLength(1);
  });

  it('has those that were asked for, and no more', async () => {
    await setEngine({ status: { calibration: calibration({ statistic: 'margin', threshold: 0.5 }) } });
    const alternatives = async (asked: object) => {
      const body = await (await chat(withOrigin(), 'sure -0.1 -0.1', asked)).json<{
        choices: { logprobs: { content: { top_logprobs: unknown[] }[] } }[];
      }>();
      return body.choices[0]!.logprobs.content.map((token) => token.top_logprobs.length);
    };
    expect(await alternatives({ logprobs: true })).toEqual([0, 0]);
    expect(await alternatives({ logprobs: true, top_logprobs: 1 })).toEqual([1, 1]);
    expect(await alternatives({ logprobs: true, top_logprobs: 2 })).toEqual([2, 2]);
  });
});

describe('no gate', () => {
  it('where the policy, or the lack of an origin, leaves no other route', async () => {
    const unsure = 'sure -9 -9';
    expect(head(await chat(withOrigin(), unsure, {}, { headers: { 'x-nearside-policy': 'edge-only' } }))[0]).toBe('edge');
    expect(head(await chat(withOrigin(), unsure, { model: 'edge-test' }))[0]).toBe('edge');
    expect(head(await chat(withOrigin({ NEARSIDE_ORIGIN_URL: 'http://127.0.0.1:9/v1' }), unsure, { max_tokens: undefined }))[0]).toBe(
      'edge',
    );
  });
});

describe('a conversation that was escalated', () => {
  const first = [{ role: 'user', content: 'sure -9' }];
  const second = [...first, { role: 'assistant', content: 'whatever came' }, { role: 'user', content: 'sure -0.1 -0.1' }];
  const third = [...second, { role: 'assistant', content: 'again' }, { role: 'user', content: 'sure -0.1' }];
  const ask = (gateway: ReturnType<typeof environment>, messages: object[], headers: Record<string, string> = {}) =>
    chatWith(gateway, '', { messages }, { headers });

  it('stays with the origin, turn by turn, for an hour', async () => {
    const gateway = environment(withOrigin());
    expect(head(await ask(gateway, first))).toEqual(['origin', 'low_gate']);
    expect(head(await ask(gateway, second))).toEqual(['origin', 'escalated_earlier']);
    expect(head(await ask(gateway, third))).toEqual(['origin', 'escalated_earlier']);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_601_000 });
    expect(head(await ask(gateway, third))).toEqual(['edge', 'cheaper, gpu_idle']);
    vi.useRealTimers();
  });

  it('is told apart from others, and so are those who have it', async () => {
    const digest = async (key: string) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))).toHex();
    const gateway = environment(withOrigin({ NEARSIDE_API_KEYS: `${await digest('a')} ${await digest('b')}` }));
    await ask(gateway, first, { authorization: 'Bearer a' });
    expect(head(await ask(gateway, second, { authorization: 'Bearer a' }))[0]).toBe('origin');
    expect(head(await ask(gateway, second, { authorization: 'Bearer b' }))[0]).toBe('edge');
    const other = [{ role: 'user', content: 'hello' }, ...second.slice(1)];
    expect(head(await ask(gateway, other, { authorization: 'Bearer a' }))[0]).toBe('edge');
    // The same question anew is a conversation of its own.
    expect(head(await ask(gateway, [{ role: 'user', content: 'sure -0.1' }], { authorization: 'Bearer a' }))[0]).toBe('edge');
  });

  it('does not go there where data may not', async () => {
    const gateway = environment(withOrigin());
    await ask(gateway, first);
    const response = await ask(gateway, second, { 'x-nearside-policy': 'edge-only', 'x-request-id': 'sticky-edge' });
    expect(head(response)[0]).toBe('edge');
    expect(await seenByOrigin('sticky-edge')).toBe(null);
  });
});
