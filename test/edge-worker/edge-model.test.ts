import { env, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EdgeEnv } from '../../worker/edge/bindings.ts';
import { createEdgeClient } from '../../worker/edge/client.ts';
import { EdgeModel } from '../../worker/edge/edge-model.ts';
import type { EdgeAnswer, EdgeClient, EdgeEvent, EdgeRequest } from '../../worker/edge/protocol.ts';

const PREFIX = 'packs/tiny';
const never = new AbortController().signal;
let replica = 0;

/** Every test talks to an object of its own, which has loaded nothing yet. */
const freshClient = (): EdgeClient => createEdgeClient(env.EDGE_MODEL, `tiny:test:${replica++}`);

const request = (changes: Partial<EdgeRequest> = {}): EdgeRequest => ({
  id: 'test',
  messages: [{ role: 'user', content: 'Hello! How are you today?' }],
  templateOptions: {},
  sampling: { seed: 1 },
  maxTokens: 12,
  capTokens: null,
  maxPromptTokens: null,
  stop: [],
  topLogprobs: null,
  ...changes,
});

function accepted(answer: EdgeAnswer): AsyncIterable<EdgeEvent> {
  if (!answer.accepted) throw new Error(`Refused: ${answer.refused}: ${answer.message}`);
  return answer.events;
}

async function ask(client: EdgeClient, changes: Partial<EdgeRequest> = {}) {
  const events: EdgeEvent[] = [];
  for await (const event of accepted(await client.generate(request(changes), never))) events.push(event);
  const deltas = events.filter((event) => event.type === 'delta');
  return { events, deltas, text: deltas.map(({ content }) => content ?? '').join(''), last: events.at(-1)! };
}

/** Starts an answer without an end and reads its first text, so that the session is running. */
async function startEndless(client: EdgeClient, signal: AbortSignal = never) {
  const events = accepted(await client.generate(request({ maxTokens: 4000 }), signal))[Symbol.asyncIterator]();
  for (let event = await events.next(); event.value?.type !== 'delta'; event = await events.next()) {
    if (event.done) throw new Error('The answer ended before its first text.');
  }
  return events;
}

async function waitForStatus(client: EdgeClient, wanted: { running: number; queued: number }): Promise<void> {
  for (;;) {
    const { running, queued } = await client.status();
    if (running === wanted.running && queued === wanted.queued) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function putPack(change: (name: string, bytes: Uint8Array) => Uint8Array | null = (_, bytes) => bytes): Promise<void> {
  for (const [name, base64] of Object.entries(env.TEST_PACK)) {
    const bytes = change(name, Uint8Array.fromBase64(base64));
    if (bytes) await env.MODELS.put(`${PREFIX}/${name}`, bytes);
    else await env.MODELS.delete(`${PREFIX}/${name}`);
  }
}

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

  it('a bias for a token that the model does not have', async () => {
    const answer = await freshClient().generate(request({ sampling: { logitBias: { '1': 1, '99999999': 5 } } }), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'bad_request', message: expect.stringContaining('99999999') });
  });

  it('thinking, of a model that cannot', async () => {
    const answer = await freshClient().generate(request({ templateOptions: { enable_thinking: true } }), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'bad_request', message: expect.stringContaining('cannot think') });
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

describe('a pack that cannot be loaded', () => {
  afterEach(() => putPack());

  it('because it is missing is reported with what to do', async () => {
    await putPack(() => null);
    const client = freshClient();
    const answer = await client.generate(request(), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
    if (!answer.accepted) {
      expect(answer.message).toContain('manifest.json is not in the R2 bucket');
      expect(answer.retryAfter).toBeGreaterThan(0);
    }
    expect(await client.status()).toMatchObject({ state: 'failed', model: '' });
  });

  it('because a weight file is damaged is reported with its name', async () => {
    await putPack((name, bytes) => (name === 'layer-02.bin' ? bytes.with(100, bytes[100]! ^ 1) : bytes));
    const client = freshClient();
    const answer = await client.generate(request(), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
    if (!answer.accepted) expect(answer.message).toContain('layer-02.bin');
    const status = await client.status();
    expect(status).toMatchObject({ state: 'failed', model: 'tiny-fixture' });
    expect(status.error).toContain('layer-02.bin');
  });

  it('because the tokenizer is damaged is reported with its name', async () => {
    await putPack((name, bytes) => (name === 'tokenizer.bin' ? bytes.with(9, bytes[9]! ^ 1) : bytes));
    const answer = await freshClient().generate(request(), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
    if (!answer.accepted) expect(answer.message).toContain('tokenizer.bin');
  });
});

/** An object with other settings than the test's configuration has. */
const withSettings = (settings: Record<`NEARSIDE_${string}`, string>, work: (client: EdgeClient) => Promise<void>) =>
  runInDurableObject(env.EDGE_MODEL.getByName(`tiny:settings:${replica++}`), async (_, state) => {
    const model = new EdgeModel(state, { ...env, ...settings } as unknown as EdgeEnv);
    const fetch = (url: string, init?: RequestInit) => model.fetch(new Request(url, init));
    await work(createEdgeClient({ idFromName: () => ({}), get: () => ({ fetch }) } as never, 'any'));
  });

it('settings that are wrong are told by name, in the status and to whoever asks', async () => {
  await withSettings({ NEARSIDE_EDGE_SESSIONS: 'many' }, async (client) => {
    const said = 'NEARSIDE_EDGE_SESSIONS is not valid: it must be a whole number from 1 to 64.';
    expect(await client.status()).toMatchObject({ state: 'failed', model: '', error: said });
    const answer = await client.generate(request(), never);
    expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable', message: expect.stringContaining(said) });
  });
});

describe('memory', () => {
  const withMemory = (bytes: number, work: (client: EdgeClient) => Promise<void>) =>
    withSettings({ NEARSIDE_EDGE_MEMORY_BYTES: String(bytes) }, work);

  it('too small for the weights makes the model unavailable, with the reason', async () => {
    await withMemory(70_000, async (client) => {
      const answer = await client.generate(request(), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
      if (!answer.accepted) expect(answer.message).toMatch(/memory|bytes/i);
    });
  });

  it('that ends in the middle of an answer ends the answer with an error, and the next one works', async () => {
    let bytes = 0;
    await withMemory(100_000_000, async (client) => {
      await ask(client);
      bytes = (await client.status()).memory!.wasmBytes;
    });
    await withMemory(bytes, async (client) => {
      const { last, text } = await ask(client, { maxTokens: 4000, sampling: { seed: 1, logitBias: {} } });
      expect(text.length).toBeGreaterThan(0);
      expect(last).toMatchObject({ type: 'error', code: 'out_of_memory' });
      expect((await ask(client)).last).toMatchObject({ type: 'finish' });
      expect(await client.status()).toMatchObject({ state: 'ready', running: 0 });
    });
  });
});

describe('prompts with the same beginning', () => {
  const system = {
    role: 'system' as const,
    content: 'You answer questions about a small town near the sea, in one short sentence. '.repeat(2),
  };
  const about = (content: string, cacheScope: string | null = 'key') => ({
    messages: [system, { role: 'user' as const, content }],
    cacheScope,
  });
  const cachedTokens = ({ events: [start] }: { events: EdgeEvent[] }) => (start?.type === 'start' ? start.cachedTokens : null);

  it('are evaluated from where they part, and answered as if nothing were cached', async () => {
    const client = freshClient();
    expect(cachedTokens(await ask(client, about('When does the harbour open?')))).toBe(0);
    const second = await ask(client, about('Who sells bread?'));
    const cached = cachedTokens(second)!;
    expect(cached).toBeGreaterThan(30);
    expect(second.last).toMatchObject({ promptTokens: expect.any(Number) });
    expect(second.text).toBe((await ask(freshClient(), about('Who sells bread?', null))).text);
    const { memory } = await client.status();
    expect(memory!.cacheBytes).toBeGreaterThan(0);
    expect(memory!.sessionBytes).toBe(0);
  });

  it('of a conversation go on where the last turn ended', async () => {
    const client = freshClient();
    const question = 'Tell me everything you know about the harbour, the market, the lighthouse and the weather there. '.repeat(2);
    const first = await ask(client, about(question));
    const turns = [
      ...about(question).messages,
      { role: 'assistant' as const, content: first.text },
      { role: 'user' as const, content: 'And now?' },
    ];
    const second = await ask(client, { messages: turns, cacheScope: 'key' });
    if (first.last.type !== 'finish') throw new Error('no finish');
    expect(cachedTokens(second)).toBeGreaterThan(first.last.promptTokens * 0.8);
    expect(second.text).toBe((await ask(freshClient(), { messages: turns })).text);
  });

  it('share nothing between keys, nor when no scope is named', async () => {
    const client = freshClient();
    await ask(client, about('When does the harbour open?', 'one key'));
    expect(cachedTokens(await ask(client, about('Who sells bread?', 'another key')))).toBe(0);
    expect(cachedTokens(await ask(client, about('Who sells bread?', null)))).toBe(0);
    expect(cachedTokens(await ask(client, about('Who sells bread?', 'one key')))).toBeGreaterThan(30);
  });

  it('are all evaluated anew where the cache is switched off', async () => {
    await withSettings({ NEARSIDE_EDGE_PREFIX_CACHE_BYTES: '0' }, async (client) => {
      for (const question of ['When does the harbour open?', 'Who sells bread?']) {
        expect(cachedTokens(await ask(client, about(question)))).toBe(0);
      }
      expect((await client.status()).memory!.cacheBytes).toBe(0);
    });
  });

  it('give way to answers when memory is short', async () => {
    let bytes = 0;
    await withSettings({}, async (client) => {
      await Promise.all([ask(client, { maxTokens: 400 }), ask(client, { maxTokens: 400 })]);
      bytes = (await client.status()).memory!.wasmBytes;
    });
    await withSettings({ NEARSIDE_EDGE_MEMORY_BYTES: String(bytes), NEARSIDE_EDGE_PREFIX_CACHE_BYTES: String(bytes) }, async (client) => {
      for (const scope of ['a', 'b', 'c', 'd']) await ask(client, about('Who sells bread?', scope));
      const answers = await Promise.all([ask(client, { maxTokens: 400 }), ask(client, { maxTokens: 400, sampling: { seed: 2 } })]);
      for (const { last } of answers) expect(last).toMatchObject({ type: 'finish' });
    });
  });
});

it('the Worker itself answers nothing', async () => {
  const { default: worker } = await import('../../worker/edge/index.ts');
  expect(worker.fetch().status).toBe(404);
  expect((await env.EDGE_MODEL.getByName('x').fetch('https://edge.invalid/other')).status).toBe(404);
});
