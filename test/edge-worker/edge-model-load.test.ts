import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EdgeClient } from '../../worker/edge/protocol.ts';
import { ask, never, request } from '../support/edge-request.ts';
import { freshClient, putPack, withSettings } from './fresh-engine.ts';

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
