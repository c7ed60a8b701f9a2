import { beforeEach, describe, expect, it } from 'vitest';
import type { EdgeEvent } from '../../worker/edge/protocol.ts';
import { ask } from '../support/edge-request.ts';
import { freshClient, putPack, withSettings } from './fresh-engine.ts';

beforeEach(() => putPack());

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
      // What a prefix held is cut into pages of keys and values, and not to the last byte.
      bytes = (await client.status()).memory!.wasmBytes + 2 * 65536;
    });
    await withSettings({ NEARSIDE_EDGE_MEMORY_BYTES: String(bytes), NEARSIDE_EDGE_PREFIX_CACHE_BYTES: String(bytes) }, async (client) => {
      for (const scope of ['a', 'b', 'c', 'd']) await ask(client, about('Who sells bread?', scope));
      const answers = await Promise.all([ask(client, { maxTokens: 400 }), ask(client, { maxTokens: 400, sampling: { seed: 2 } })]);
      for (const { last } of answers) expect(last).toMatchObject({ type: 'finish' });
    });
  });
});
