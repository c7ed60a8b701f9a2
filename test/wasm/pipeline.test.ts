import { beforeAll, describe, expect, it } from 'vitest';
import { loadStage, wholeModel } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { localPeer } from '../../wasm/engine/pipeline/peer.ts';
import { PipelineStage } from '../../wasm/engine/pipeline/pipeline-stage.ts';
import { PrefixCache } from '../../wasm/engine/prefix-cache.ts';
import type { SamplingRequest } from '../../wasm/engine/sampling.ts';
import type { HeadQuery, Stage, StepEntry } from '../../wasm/engine/stage.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';
import { answerOf, cutModel, loadMember } from '../support/pipeline.ts';

const modules = nodeKernels();
const tokens = (count: number, seed = 1): number[] => Array.from({ length: count }, (_, i) => (i * 37 + seed * 101 + (i % seed)) % 301);
const ALL: HeadQuery = { candidates: 320, adjust: null, draw: null };
const ADJUSTED: HeadQuery = {
  candidates: 9,
  adjust: {
    bias: [
      [3, 5],
      [200, -2],
      [300, 4],
    ],
    generated: [
      [7, 2],
      [250, 1],
    ],
    presencePenalty: 0.5,
    frequencyPenalty: 0.25,
    repetitionPenalty: 1.2,
    prompt: [1, 2, 299],
  },
  draw: { seed: 5, step: 3, temperature: 0.8 },
  massTemperature: 0.8,
};

async function pipelineOf(pack: MemoryPack, cuts: number[], slices: number, maxBytes?: number): Promise<PipelineStage> {
  const members = await Promise.all(cutModel(pack, cuts, slices).map((spec) => loadMember(pack, spec, maxBytes)));
  return new PipelineStage(pack.manifest.config, members.map(localPeer));
}

/** Small files, so that the vocabulary can be cut in several places. */
const packOf = (name: ConfigName, type: 'q4_0' | 'q8_0' | 'f32') =>
  memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 7), type, { maxFileBytes: type === 'f32' ? 20000 : 5000 });

describe.each([
  ['tied', 'q4_0', [2], 1],
  ['tied', 'q4_0', [1, 2, 3], 3],
  ['tied', 'f32', [3], 2],
  ['untied', 'q8_0', [1], 2],
  ['untied', 'q8_0', [1, 3], 3],
  ['llama', 'f32', [1, 2], 3],
  ['llama', 'q4_0', [2], 2],
] as const)('a pipeline of the %s model, %s, layers cut before %o, %i slices', (name, type, cuts, slices) => {
  let pack: MemoryPack;
  let one: LocalStage;
  let several: PipelineStage;
  const ids = tokens(140, 3);
  beforeAll(async () => {
    pack = packOf(name, type);
    one = await loadStage({ modules, ...pack });
    several = await pipelineOf(pack, [...cuts], slices);
  });
  const both = async <T>(work: (stage: Stage) => Promise<T>) => ({ one: await work(one), several: await work(several) });

  it('says the same of every token, to the bit', async () => {
    const answers = await both(async (stage) => {
      await stage.open('a');
      const results = [];
      for (const [from, to] of [
        [0, 100],
        [100, 101],
        [101, 102],
        [102, 140],
      ]) {
        const [result] = await stage.step([{ session: 'a', position: from!, ids: ids.slice(from, to), head: ALL }]);
        results.push(result, await stage.head('a', ADJUSTED));
      }
      await stage.close('a');
      return results;
    });
    expect(answers.several).toEqual(answers.one);
  });

  it('batches sessions, and answers several positions of one step', async () => {
    const answers = await both(async (stage) => {
      for (const session of ['a', 'b', 'c']) await stage.open(session);
      const entry = (session: string, seed: number, from: number, to: number, asked: Partial<StepEntry>): StepEntry => ({
        session,
        position: from,
        ids: tokens(90, seed).slice(from, to),
        ...asked,
      });
      const first = await stage.step([
        entry('a', 2, 0, 40, { head: ALL }),
        entry('b', 3, 0, 1, {}),
        entry('c', 4, 0, 33, { head: ADJUSTED }),
      ]);
      const second = await stage.step([
        entry('c', 4, 33, 37, { heads: [ALL, ADJUSTED, ALL] }),
        entry('b', 3, 1, 41, { heads: Array.from({ length: 40 }, () => ALL) }),
        entry('a', 2, 40, 41, { head: ADJUSTED }),
      ]);
      for (const session of ['a', 'b', 'c']) await stage.close(session);
      return [first, second];
    });
    expect(answers.several).toEqual(answers.one);
  });

  it.each<[SamplingRequest, number | null]>([
    [{ temperature: 0 }, 3],
    [{ temperature: 0, frequencyPenalty: 0.3, presencePenalty: 0.2, repetitionPenalty: 1.1, logitBias: { '3': 2, '280': -3 } }, 5],
    [{ temperature: 1, topK: 20, presencePenalty: 2 }, null],
    [{ temperature: 0.9, topP: 0.8 }, 2],
    [{ temperature: 1.3 }, 0],
  ])('answers alike: %o, logprobs %o', async (request, topLogprobs) => {
    for (const speculate of [undefined, () => true]) {
      const prompt = [...tokens(20, 2), ...tokens(20, 2), ...tokens(9, 2)];
      const events = await both((stage) => answerOf(stage, prompt, request, { topLogprobs, speculate }));
      expect(events.several).toEqual(events.one);
    }
    expect((await several.memory()).sessionBytes).toBe(0);
  });

  it('forks, and goes on from a snapshot', async () => {
    const answers = await both(async (stage) => {
      await stage.open('a');
      await stage.step([{ session: 'a', position: 0, ids: ids.slice(0, 70) }]);
      await stage.fork('a', 'b');
      const snapshot = await stage.snapshot('a');
      await stage.restore('c', snapshot);
      const heads = [await stage.head('b', ALL), await stage.head('c', ALL)];
      const step = (session: string) => stage.step([{ session, position: 70, ids: ids.slice(70, 90), head: ALL }]);
      const results = [await step('b'), await step('a'), await step('c')];
      for (const session of ['a', 'b', 'c']) await stage.close(session);
      return [heads, results];
    });
    expect(answers.several).toEqual(answers.one);
    expect((await several.memory()).sessionBytes).toBe(0);
  });

  it('serves a prefix cache', async () => {
    const system = tokens(75, 3);
    const cutBack = name === 'llama';
    const answers = await both(async (stage) => {
      const cache = new PrefixCache(stage, { budgetBytes: 2 ** 24, cutBack });
      const told = [];
      for (const seed of [5, 6, 5]) {
        const prompt = [...system, ...tokens(30, seed)];
        const session = crypto.randomUUID();
        const prefix = await cache.open(session, prompt, 'me', [75]);
        await stage.close(session);
        const again = await cache.open('again', prompt, 'me', [75]);
        const keep = again.keepAt.includes(75);
        await stage.step([
          { session: 'again', position: again.cached, ids: prompt.slice(again.cached, 75).concat(keep ? [] : prompt.slice(75)), head: ALL },
        ]);
        if (keep) await again.keep(75);
        told.push([prefix.cached, again.cached, await stage.head('again', ALL)]);
        await stage.close('again');
      }
      for (let session = cache.evict(); session !== null; session = cache.evict()) await stage.close(session);
      return told;
    });
    expect(answers.several).toEqual(answers.one);
    expect(answers.one.at(-1)![1]).toBeGreaterThan(70);
    expect((await several.memory()).sessionBytes).toBe(0);
  });
});

describe('a pipeline', () => {
  const config = { ...CONFIGS.tied, contextLength: 100 };
  const pack = memoryPack(config, randomWeights(config, 7), 'q8_0', { maxFileBytes: 5000 });
  const refusal = (code: string) => expect.objectContaining({ name: 'StageError', code });

  it.each<[string, string, Partial<StepEntry>]>([
    ['a session that is not open', 'unknown_session', { session: 'x', ids: [1] }],
    ['a position that is not next', 'wrong_position', { position: 1, ids: [1] }],
    ['no tokens', 'bad_input', { ids: [] }],
    ['hidden states', 'bad_input', { hidden: new Float32Array(64) }],
    ['an id outside the vocabulary', 'bad_input', { ids: [1, 320] }],
    ['more queries than positions', 'bad_input', { ids: [1], heads: [ALL, ALL] }],
    ['more than the context holds', 'context_limit', { ids: tokens(101) }],
  ])('refuses %s and stays usable', async (_, code, entry) => {
    const stage = await pipelineOf(pack, [2], 2);
    await stage.open('a');
    await expect(stage.step([{ session: 'a', position: 0, ...entry }])).rejects.toEqual(refusal(code));
    const [result] = await stage.step([{ session: 'a', position: 0, ids: [5], head: ALL }]);
    expect(result!.head!.ids.length).toBe(320);
  });

  it('refuses a session that one stage has no memory for, and nothing of it stays in the others', async () => {
    const tight = await pipelineOf(pack, [2], 1, 1_500_000);
    const before = await tight.memory();
    let opened = 0;
    const error = await (async () => {
      for (; ; opened++) await tight.open(`s${opened}`);
    })().catch((reason: unknown) => reason);
    expect(error).toEqual(refusal('out_of_memory'));
    expect(opened).toBeGreaterThan(2);
    for (let i = 0; i < opened; i++) await tight.close(`s${i}`);
    expect((await tight.memory()).sessionBytes).toBe(before.sessionBytes);
    await tight.open('again');
  });

  it('stops at an abort; the session must be closed, and others go on', async () => {
    const stage = await pipelineOf(pack, [1, 2, 3], 2);
    await Promise.all([stage.open('a'), stage.open('b')]);
    const leaving = new AbortController();
    const stopped = stage.step([{ session: 'a', position: 0, ids: tokens(90) }], leaving.signal);
    leaving.abort(new Error('gone'));
    await expect(stopped).rejects.toThrow('gone');
    await expect(stage.step([{ session: 'a', position: 0, ids: [1] }])).rejects.toEqual(refusal('unknown_session'));
    await stage.close('a');
    await stage.step([{ session: 'b', position: 0, ids: [1], head: ALL }]);
    await stage.close('b');
    expect((await stage.memory()).sessionBytes).toBe(0);
  });

  it('refuses a snapshot of other stages, and one that is cut short', async () => {
    const [stage, other] = [await pipelineOf(pack, [2], 1), await pipelineOf(pack, [1, 2], 1)];
    await stage.open('a');
    await stage.step([{ session: 'a', position: 0, ids: tokens(70) }]);
    const snapshot = await stage.snapshot('a');
    await expect(other.restore('b', snapshot)).rejects.toEqual(refusal('bad_snapshot'));
    await expect(stage.restore('b', snapshot.subarray(0, 200))).rejects.toEqual(refusal('bad_snapshot'));
    await stage.restore('b', snapshot);
  });

  it('is made of stages that make up one model, or not at all', async () => {
    const members = await Promise.all(cutModel(pack, [2], 2).map((spec) => loadMember(pack, spec)));
    const without = (index: number) => () => new PipelineStage(config, members.filter((_, i) => i !== index).map(localPeer));
    expect(without(0)).toThrow('make up no model: layers go from 0 to 2');
    expect(without(1)).toThrow('there are 4 layers, and they hold 2');
    expect(without(2)).toThrow('rows of the head go from 0 to');
    expect(without(3)).toThrow('there are 320 rows of the head');
    expect(new PipelineStage(config, members.map(localPeer)).spec).toEqual(wholeModel(pack.manifest));
  });
});
