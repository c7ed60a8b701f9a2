import { env } from 'cloudflare:test';
import { beforeEach, describe, expect, it } from 'vitest';
import type { EdgeEvent, EdgeRequest } from '../../worker/edge/protocol.ts';
import { accepted, ask, never, request } from '../support/edge-request.ts';
import { freshClient, putPack, startEndless, waitForStatus, withSettings } from './fresh-engine.ts';

beforeEach(() => putPack());

describe('an answer', () => {
  it('streams from start to finish, and the status tells of it', async () => {
    const client = freshClient();
    expect(await client.status()).toMatchObject({ model: 'tiny-fixture', fixture: true, state: 'cold', running: 0, memory: null });
    const { events, text, last } = await ask(client);
    expect(events[0]).toMatchObject({ type: 'start', model: 'tiny-fixture', cachedTokens: 0 });
    expect(text.length).toBeGreaterThan(0);
    expect(last).toMatchObject({ type: 'finish', reason: 'length', cap: false, completionTokens: 12, reasoningTokens: 0 });
    if (last.type === 'finish' && events[0]?.type === 'start') expect(last.promptTokens).toBe(events[0].promptTokens);
    const status = await client.status();
    expect(status).toMatchObject({ state: 'ready', quantization: 'q8_0', running: 0, queued: 0, queueLimit: 1, contextLength: 4096 });
    expect(status.memory!.weightBytes).toBeGreaterThan(0);
    expect(status.memory!.sessionBytes).toBe(0);
  });

  it('comes with what is known of its worth: measured, assumed of its size, or nothing of random weights', async () => {
    expect((await freshClient().status()).calibration).toBe(null);
    const withManifest = (change: object) =>
      putPack((name, bytes) =>
        name === 'manifest.json'
          ? new TextEncoder().encode(JSON.stringify({ ...JSON.parse(new TextDecoder().decode(bytes)), ...change }))
          : bytes,
      );
    await withManifest({ fixture: false });
    expect((await freshClient().status()).calibration).toMatchObject({ model: 'tiny-fixture', calibrated: false, gate: null });
    const calibration = {
      version: 1,
      model: 'tiny-fixture',
      calibrated: true,
      weights: { intercept: 1 },
      curve: [[0.5, 0.4]],
      gate: null,
      evidence: null,
    };
    await withManifest({ calibration });
    expect((await freshClient().status()).calibration).toEqual(calibration);
    await withManifest({ calibration: { ...calibration, curve: [[0.5, 4]] } });
    expect(await freshClient().status()).toMatchObject({
      state: 'failed',
      calibration: null,
      error: expect.stringContaining('calibration.curve'),
    });
  });

  it('is the same again with the same seed, also in the company of others', async () => {
    const client = freshClient();
    const first = await ask(client);
    const [second, other] = await Promise.all([ask(client), ask(client, { sampling: { seed: 2 } })]);
    expect(second.text).toBe(first.text);
    expect(other.text).not.toBe(first.text);
  });

  it('without a limit of its own ends at the cap, and says so', async () => {
    const { last } = await ask(freshClient(), { maxTokens: null, capTokens: 5 });
    expect(last).toMatchObject({ reason: 'length', cap: true, completionTokens: 5 });
  });

  it('ends before a stop string', async () => {
    const client = freshClient();
    const { text } = await ask(client);
    const stop = text.slice(3, 6);
    const stopped = await ask(client, { stop: [stop] });
    expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
    expect(stopped.last).toMatchObject({ reason: 'stop' });
  });

  it('carries logprobs when asked, most probable first', async () => {
    const { deltas, text } = await ask(freshClient(), { topLogprobs: 3 });
    const entries = deltas.flatMap(({ logprobs }) => logprobs ?? []);
    expect(entries).toHaveLength(12);
    expect(entries.map(({ token }) => token).join('')).toBe(text);
    for (const { logprob, top_logprobs: top } of entries) {
      expect(top).toHaveLength(3);
      expect(top[0]!.logprob).toBeGreaterThanOrEqual(top[1]!.logprob);
      expect(logprob).toBeLessThanOrEqual(top[0]!.logprob);
    }
  });

  it('to a prompt of several chunks comes too', async () => {
    const { events, last } = await ask(freshClient(), { messages: [{ role: 'user', content: 'a word and a word '.repeat(40) }] });
    expect(events[0]).toMatchObject({ type: 'start' });
    if (last.type !== 'finish') throw new Error('no finish');
    expect(last.promptTokens).toBeGreaterThan(100);
    expect(last.completionTokens).toBe(12);
    expect(last.rates.prefill).toBeGreaterThan(0);
  });
});

describe('the queue', () => {
  it('runs two, lets one wait, and refuses the fourth', async () => {
    const client = freshClient();
    const leaving = new AbortController();
    const running = [await startEndless(client, leaving.signal), await startEndless(client)];
    const waiting = ask(client);
    await waitForStatus(client, { running: 2, queued: 1 });
    expect(await client.generate(request(), never)).toMatchObject({ accepted: false, refused: 'queue_full' });
    const refused = await client.generate(request(), never);
    if (refused.accepted) throw new Error('accepted');
    // Thousands of tokens at the rate measured, but no client should wait longer than that to ask again.
    expect(refused.retryAfter).toBeGreaterThanOrEqual(1);
    expect(refused.retryAfter).toBeLessThanOrEqual(30);
    leaving.abort();
    expect((await waiting).last).toMatchObject({ type: 'finish' });
    await running[1]!.return?.();
    await waitForStatus(client, { running: 0, queued: 0 });
  });

  it('is told with every reply, and so is whether the model had to be loaded', async () => {
    const client = freshClient();
    expect((await client.status()).figures).toMatchObject({ warm: false, running: 0, queued: 0, slots: 2, loadMs: null });
    const first = await ask(client);
    expect(first.events[0]).toMatchObject({ type: 'start', cold: true, figures: { warm: true, running: 1, queued: 0, slots: 2 } });
    // Its own place is free by then.
    expect(first.last).toMatchObject({ figures: { running: 0, decode: expect.any(Number), decodeBatch: 1, loadMs: expect.any(Number) } });
    const leaving = new AbortController();
    const running = [await startEndless(client, leaving.signal), await startEndless(client)];
    const waiting = ask(client);
    await waitForStatus(client, { running: 2, queued: 1 });
    expect(await client.generate(request(), never)).toMatchObject({ accepted: false, figures: { running: 2, queued: 1, slots: 2 } });
    leaving.abort();
    expect((await waiting).events[0]).toMatchObject({ cold: false, figures: { running: 2, queued: 0 } });
    await running[1]!.return?.();
  });
});

describe('a client that leaves', () => {
  it('by its signal ends the session', async () => {
    const client = freshClient();
    const leaving = new AbortController();
    const events = await startEndless(client, leaving.signal);
    await waitForStatus(client, { running: 1, queued: 0 });
    leaving.abort(new Error('enough'));
    await expect(
      (async () => {
        while (!(await events.next()).done);
      })(),
    ).rejects.toThrow('enough');
    await waitForStatus(client, { running: 0, queued: 0 });
    expect((await client.status()).memory!.sessionBytes).toBe(0);
  });

  it('by no longer reading the stream ends the session', async () => {
    const client = freshClient();
    const events = await startEndless(client);
    await events.return?.();
    await waitForStatus(client, { running: 0, queued: 0 });
  });

  it('while it waits gives its place to others', async () => {
    const client = freshClient();
    const running = [await startEndless(client), await startEndless(client)];
    const leaving = new AbortController();
    const waiting = await client.generate(request(), leaving.signal);
    await waitForStatus(client, { running: 2, queued: 1 });
    leaving.abort();
    await waitForStatus(client, { running: 2, queued: 0 });
    expect(waiting.accepted).toBe(true);
    for (const events of running) await events.return?.();
  });

  it('while its prompt is evaluated never gets a token', async () => {
    const client = freshClient();
    const leaving = new AbortController();
    const messages = [{ role: 'user' as const, content: 'a word and a word '.repeat(300) }];
    const events = accepted(await client.generate(request({ messages, maxTokens: 1000 }), leaving.signal))[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ type: 'start', cachedTokens: 0 });
    leaving.abort(new Error('enough'));
    await expect(events.next()).rejects.toThrow('enough');
    await waitForStatus(client, { running: 0, queued: 0 });
    const { rates, memory } = await client.status();
    expect(rates.decode).toBe(null);
    expect(memory!.sessionBytes).toBe(0);
  });

  it('only in mind, and neither reads nor hangs up, loses its place', async () => {
    await withSettings({ NEARSIDE_EDGE_STALL_MS: '20' }, async (client) => {
      const events = await startEndless(client);
      await waitForStatus(client, { running: 0, queued: 0 });
      expect((await client.status()).memory!.sessionBytes).toBe(0);
      const rest: EdgeEvent[] = [];
      for (let event = await events.next(); !event.done; event = await events.next()) rest.push(event.value);
      expect(rest.at(-1)).toMatchObject({ type: 'error', code: 'edge_disconnected' });
      // Others are served as before.
      expect((await ask(client)).last).toMatchObject({ type: 'finish' });
    });
  });

  it('before it asked gets no answer', async () => {
    await expect(freshClient().generate(request(), AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
  });
});

describe('refusals', () => {
  it('a prompt over the limit, with its length', async () => {
    const answer = await freshClient().generate(request({ maxPromptTokens: 8 }), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'prompt_too_long', retryAfter: null });
    if (!answer.accepted) expect(answer.promptTokens).toBeGreaterThan(8);
  });

  it('a prompt that leaves no room in the context', async () => {
    const answer = await freshClient().generate(
      request({ messages: [{ role: 'user', content: '1 2 3 4 5 6 7 8 9 '.repeat(500) }] }),
      never,
    );
    expect(answer).toMatchObject({ accepted: false, refused: 'prompt_too_long' });
  });

  it('a prompt too long to be worth counting', async () => {
    const answer = await freshClient().generate(request({ messages: [{ role: 'user', content: ' '.repeat(5_000_000) }] }), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'prompt_too_long', promptTokens: null });
  });

  it('more turns, or longer tool calls, than can fit', async () => {
    const call = { function: { name: 'f', arguments: JSON.stringify({ text: ' '.repeat(5_000_000) }) } };
    const many = Array.from({ length: 100_000 }, () => ({ role: 'user' as const, content: '' }));
    for (const messages of [many, [{ role: 'assistant' as const, content: '', tool_calls: [call] }]]) {
      const answer = await freshClient().generate(request({ messages }), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'prompt_too_long', promptTokens: null });
    }
  });

  it('longer names, arguments and template variables than can fit', async () => {
    const long = ' '.repeat(5_000_000);
    const called = (args: object) => [{ function: { name: 'f', arguments: args } }];
    const odd: Partial<EdgeRequest>[] = [
      { messages: [{ role: 'user', content: '', name: long }] },
      { messages: [{ role: 'assistant', content: '', reasoning_content: long }] },
      { messages: [{ role: 'assistant', content: '', tool_calls: called({ [long]: 1 }) }] },
      { messages: [{ role: 'assistant', content: '', tool_calls: called({ numbers: Array(2_000_000).fill(1) }) }] },
      { templateOptions: { note: long } },
    ];
    for (const changes of odd) {
      const answer = await freshClient().generate(request(changes), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'prompt_too_long', promptTokens: null });
    }
  });

  it('arguments of a tool call that are nested deeper than can be looked into', async () => {
    const deep = `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    const messages = [{ role: 'assistant' as const, content: '', tool_calls: [{ function: { name: 'f', arguments: deep } }] }];
    const client = freshClient();
    const answer = await client.generate(request({ messages }), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'bad_request', message: expect.stringContaining('nested too deeply') });
    expect((await ask(client)).last.type).toBe('finish');
  });

  it('a bias for a token that the model does not have', async () => {
    const answer = await freshClient().generate(request({ sampling: { logitBias: { '1': 1, '99999999': 5 } } }), never);
    expect(answer).toMatchObject({
      accepted: false,
      refused: 'bad_request',
      message: expect.stringContaining('99999999'),
      param: 'logit_bias',
    });
  });

  it('thinking, of a model that cannot', async () => {
    const answer = await freshClient().generate(request({ templateOptions: { enable_thinking: true } }), never);
    expect(answer).toMatchObject({
      accepted: false,
      refused: 'bad_request',
      message: expect.stringContaining('cannot think'),
      param: 'reasoning_effort',
    });
    expect((await ask(freshClient(), { templateOptions: { enable_thinking: false } })).last.type).toBe('finish');
  });

  it('a request of another version', async () => {
    const answer = await freshClient().generate(request({ maxTokens: 0 }), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'bad_request' });
  });

  it('leave no place taken', async () => {
    const client = freshClient();
    for (let i = 0; i < 5; i++) await client.generate(request({ maxPromptTokens: 1 }), never);
    expect(await client.status()).toMatchObject({ running: 0, queued: 0 });
    expect((await ask(client)).last.type).toBe('finish');
  });
});

it('the Worker itself answers nothing', async () => {
  const { default: worker } = await import('../../worker/edge/index.ts');
  expect(worker.fetch().status).toBe(404);
  expect((await env.EDGE_MODEL.getByName('x').fetch('https://edge.invalid/other')).status).toBe(404);
});
