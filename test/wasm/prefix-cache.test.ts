import { beforeEach, describe, expect, it } from 'vitest';
import { type GenerateEvent, generate } from '../../wasm/engine/generate.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { PrefixCache } from '../../wasm/engine/prefix-cache.ts';
import { resolveSampling } from '../../wasm/engine/sampling.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';

const modules = nodeKernels();
const tokens = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + seed * 101 + (i % seed)) % 301);
const PACKS = {
  tied: memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 7), 'q4_0'),
  llama: memoryPack(CONFIGS.llama, randomWeights(CONFIGS.llama, 7), 'q8_0'),
};
const tokenizer = {
  bytesOf: (id: number) => new TextEncoder().encode(` ${id}`),
  decoder: () => ({ push: (id: number) => ` ${id}`, flush: () => '' }),
};
const OFF = { temperature: 0, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };

/** Answers a prompt through a cache; tells the tokens, their log probabilities and how much was cached. */
async function ask(stage: LocalStage, cache: PrefixCache, ids: number[], scope: string | null = 'me', boundaries: number[] = []) {
  const session = crypto.randomUUID();
  const prefix = await cache.open(session, ids, scope, boundaries);
  const options = {
    sampling: resolveSampling({}, OFF, 0),
    maxTokens: 6,
    contextLength: 512,
    stopIds: [],
    stop: [],
    topLogprobs: 5,
    splitter: null,
    prefix,
  };
  const events: GenerateEvent[] = [];
  try {
    for await (const event of generate(stage, tokenizer, session, ids, options, new AbortController().signal)) events.push(event);
  } finally {
    await stage.close(session);
  }
  return { cached: prefix.cached, events };
}

describe.each(['tied', 'llama'] as const)('a prefix cache of the %s model', (name: ConfigName) => {
  let stage: LocalStage;
  let cache: PrefixCache;
  const system = tokens(75, 3);
  const prompt = (seed: number, length = 40) => [...system, ...tokens(length, seed)];
  const cutBack = name === 'llama';
  beforeEach(async () => {
    stage = await loadStage({ modules, ...PACKS[name as 'tied' | 'llama'] });
    cache = new PrefixCache(stage, { budgetBytes: 2 ** 24, cutBack });
  });
  /** The same answer without a cache, from an engine that has seen nothing. */
  const fresh = async (ids: number[]) => {
    const other = await loadStage({ modules, ...PACKS[name as 'tied' | 'llama'] });
    return (await ask(other, new PrefixCache(other, { budgetBytes: 0, cutBack }), ids)).events;
  };

  it('serves the second prompt with the same system prompt, to the bit as without', async () => {
    const first = await ask(stage, cache, prompt(5), 'me', [system.length]);
    const second = await ask(stage, cache, prompt(7), 'me', [system.length]);
    expect([first.cached, second.cached]).toEqual([0, 75]);
    expect(first.events).toEqual(await fresh(prompt(5)));
    expect(second.events).toEqual(await fresh(prompt(7)));
  });

  it('serves a conversation that goes on', async () => {
    const turns = [prompt(5), [...prompt(5), ...tokens(50, 11)], [...prompt(5), ...tokens(50, 11), ...tokens(30, 13)]];
    for (const [i, ids] of turns.entries()) {
      const { cached, events } = await ask(stage, cache, ids, 'me', [ids.length - 4]);
      expect(cached).toBe(i === 0 ? 0 : turns[i - 1]!.length - 4);
      expect(events).toEqual(await fresh(ids));
    }
  });

  it('learns from the second prompt where prompts part, and serves the third', async () => {
    const cached: number[] = [];
    for (const seed of [5, 7, 9]) {
      const answer = await ask(stage, cache, prompt(seed));
      cached.push(answer.cached);
      expect(answer.events).toEqual(await fresh(prompt(seed)));
    }
    expect(cached).toEqual([0, 0, 75]);
  });

  it('serves nothing that is not all the same tokens', async () => {
    await ask(stage, cache, prompt(5), 'me', [75]);
    const strange = prompt(5).with(50, 1);
    const { cached, events } = await ask(stage, cache, strange);
    expect(cached).toBe(cutBack ? 50 : 0);
    expect(events).toEqual(await fresh(strange));
  });

  it('evaluates at least the last token', async () => {
    await ask(stage, cache, prompt(5), 'me', [114]);
    const { cached, events } = await ask(stage, cache, prompt(5).slice(0, 114));
    expect(cached).toBe(cutBack ? 113 : 0);
    expect(events).toEqual(await fresh(prompt(5).slice(0, 114)));
    expect((await ask(stage, cache, prompt(5))).cached).toBe(114);
  });

  it('is used by no other scope, nor by a request without one', async () => {
    await ask(stage, cache, prompt(5), 'me', [75]);
    expect((await ask(stage, cache, prompt(7), 'you', [75])).cached).toBe(0);
    const size = cache.size;
    expect((await ask(stage, cache, prompt(9), null, [75])).cached).toBe(0);
    expect(cache.size).toBe(size);
    expect((await ask(stage, cache, prompt(11), 'you', [75])).cached).toBe(75);
  });

  it('stays within its budget, and forgets what was unused longest', async () => {
    const probe = new PrefixCache(stage, { budgetBytes: 2 ** 24, cutBack });
    await ask(stage, probe, prompt(5), 'me', [75]);
    const one = await probe.bytes();
    cache = new PrefixCache(stage, { budgetBytes: 2 * one, cutBack });
    const own = (seed: number) => [...tokens(75, seed), ...tokens(20, seed + 1)];
    for (const seed of [20, 30, 20, 40]) {
      await ask(stage, cache, own(seed), 'me', [75]);
      expect(await cache.bytes()).toBeLessThanOrEqual(2 * one);
    }
    expect(cache.size).toBe(2);
    const cached = async (seed: number) => (await ask(stage, cache, [...own(seed), 1, 2], 'me')).cached;
    expect(await cached(20)).toBeGreaterThanOrEqual(75);
    expect(await cached(30)).toBe(0);
    for (let session = cache.evict(); session; session = cache.evict()) await stage.close(session);
    for (let session = probe.evict(); session; session = probe.evict()) await stage.close(session);
    expect((await stage.memory()).sessionBytes).toBe(0);
  });

  it('that may hold less than one state keeps none', async () => {
    cache = new PrefixCache(stage, { budgetBytes: 1, cutBack });
    for (const seed of [5, 7]) expect((await ask(stage, cache, prompt(seed), 'me', [75])).cached).toBe(0);
    expect([cache.size, (await stage.memory()).sessionBytes]).toEqual([0, 0]);
  });

  it('gives way to memory that runs out', async () => {
    await ask(stage, cache, prompt(5), 'me', [75]);
    const tight = await loadStage({ modules, ...PACKS[name as 'tied' | 'llama'], maxBytes: (await stage.memory()).wasmBytes });
    cache = new PrefixCache(tight, { budgetBytes: 2 ** 24, cutBack });
    // Every prompt is kept as long as there is memory, and answered in any case.
    for (let seed = 2; seed < 40; seed++) {
      const ids = tokens(90, seed);
      const opened = await ask(tight, cache, ids, 'me', [75]).catch(async (error: { code: string }) => {
        expect(error.code).toBe('out_of_memory');
        const session = cache.evict();
        expect(session).not.toBeNull();
        await tight.close(session!);
        return null;
      });
      if (opened) expect(opened.cached).toBe(0);
    }
  });

  it('survives a state that is gone when it is wanted', async () => {
    await ask(stage, cache, prompt(5), 'me', [75]);
    for (let i = 0; i < 3; i++) await stage.close(`prefix-${i}`);
    const { cached, events } = await ask(stage, cache, prompt(7), 'me', [75]);
    expect(cached).toBe(0);
    expect(events).toEqual(await fresh(prompt(7)));
    expect((await ask(stage, cache, prompt(9), 'me', [75])).cached).toBe(75);
  });
});

it('long prompts are kept at borders too, where many states fit', async () => {
  const stage = await loadStage({ modules, ...PACKS.tied });
  const cache = new PrefixCache(stage, { budgetBytes: 2 ** 26, cutBack: false });
  const ids = tokens(400, 3);
  await ask(stage, cache, ids);
  expect((await ask(stage, cache, [...ids.slice(0, 300), ...tokens(50, 9)])).cached).toBe(256);
});
