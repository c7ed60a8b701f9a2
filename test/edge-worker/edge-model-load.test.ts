import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EdgeClient } from '../../worker/edge/protocol.ts';
import { accepted, ask, never, request } from '../support/edge-request.ts';
import { freshClient, putPack, startEndless, waitForStatus, withSettings } from './fresh-engine.ts';

beforeEach(() => putPack());

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

  /** What the engine has when so many of these have run at the same time. */
  async function bytesFor(count: number, changes: Parameters<typeof ask>[1]): Promise<number> {
    let bytes = 0;
    await withMemory(100_000_000, async (client) => {
      await Promise.all(Array.from({ length: count }, () => ask(client, changes)));
      bytes = (await client.status()).memory!.wasmBytes;
    });
    return bytes;
  }

  it('for short sequences only makes the context as short, and prompts that never fit are refused at once', async () => {
    await withMemory(await bytesFor(1, {}), async (client) => {
      const { last, text } = await ask(client, { maxTokens: 4000 });
      expect(text.length).toBeGreaterThan(0);
      const { contextLength, state, running } = await client.status();
      expect([state, running]).toEqual(['ready', 0]);
      expect(contextLength).toBeLessThan(4000);
      expect(last).toMatchObject({ type: 'finish', reason: 'length', cap: false });
      if (last.type === 'finish') expect(last.promptTokens + last.completionTokens).toBe(contextLength);
      const long = await client.generate(request({ messages: [{ role: 'user', content: 'word '.repeat(contextLength!) }] }), never);
      expect(long).toMatchObject({
        accepted: false,
        refused: 'prompt_too_long',
        message: expect.stringContaining(`length is ${contextLength! - 1} tokens`),
      });
    });
  });

  const long = { maxTokens: 4000 };

  it('for one has the next one wait until there is enough', async () => {
    await withMemory(await bytesFor(1, long), async (client) => {
      const first = await startEndless(client);
      const second = ask(client, long);
      await waitForStatus(client, { running: 1, queued: 1 });
      let last: unknown;
      for (let event = await first.next(); !event.done; event = await first.next()) last = event.value;
      expect(last).toMatchObject({ type: 'finish', reason: 'length' });
      expect(await second).toMatchObject({ last: { type: 'finish', completionTokens: 4000 } });
      expect(await client.status()).toMatchObject({ running: 0, queued: 0 });
    });
  });

  it('is waited for no longer by a client that leaves', async () => {
    await withMemory(await bytesFor(1, long), async (client) => {
      const client1 = new AbortController();
      await startEndless(client, client1.signal);
      const leaving = new AbortController();
      const events = accepted(await client.generate(request(long), leaving.signal))[Symbol.asyncIterator]();
      events.next().catch(() => {});
      await waitForStatus(client, { running: 1, queued: 1 });
      leaving.abort(new Error('gone'));
      await waitForStatus(client, { running: 1, queued: 0 });
      client1.abort(new Error('gone'));
      await waitForStatus(client, { running: 0, queued: 0 });
      expect((await ask(client)).last).toMatchObject({ type: 'finish' });
    });
  });
});
