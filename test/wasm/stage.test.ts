import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { HEAD_ROWS } from '../../wasm/engine/scratch.ts';
import type { HeadQuery, Stage, StepEntry } from '../../wasm/engine/stage.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';

const ALL: HeadQuery = { candidates: 320, adjust: null, draw: null };
const modules = nodeKernels();
const tokens = (count: number, seed = 1, vocabulary = 301): number[] =>
  Array.from({ length: count }, (_, i) => (i * 37 + seed * 101) % vocabulary);

describe.each([
  ['tied', 'q4_0'],
  ['untied', 'q8_0'],
  ['llama', 'f32'],
] as const)('a stage of the %s model, %s', (name: ConfigName, type) => {
  let pack: MemoryPack;
  let stage: LocalStage;
  /** Logits of each position, the sequence computed in one go. */
  let whole: Float32Array[];
  const ids = tokens(140);
  beforeAll(async () => {
    pack = memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 7), type, { maxFileBytes: 20000 });
    stage = await loadStage({ modules, ...pack });
    whole = await stage.forward(ids);
  });
  beforeEach(async () => {
    for (const session of ['a', 'b', 'c', 'd']) await stage.close(session);
  });

  it.each([1, 3, 7, 32, 64, 70])('prefill in chunks of %i gives the same bits', async (chunk) => {
    await stage.open('a');
    for (let at = 0; at < ids.length; at += chunk) {
      const some = ids.slice(at, at + chunk);
      await stage.step([{ session: 'a', position: at, ids: some }]);
      expect(await stage.logits('a')).toEqual(whole[at + some.length - 1]);
    }
  });

  it('sessions in one batch, prefilling and decoding, equal each alone', async () => {
    const sequences = { a: tokens(75, 2), b: tokens(40, 3), c: tokens(75, 4) };
    const alone = Object.fromEntries(
      await Promise.all(Object.entries(sequences).map(async ([id, list]) => [id, await stage.forward(list)])),
    );
    const chunks: Record<string, number[]> = { a: [1, 40, 1, 1, 32], b: [39, 1], c: [20, 1, 33, 1, 20] };
    const seen: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (const session of ['a', 'b', 'c']) await stage.open(session);
    for (let round = 0; round < 5; round++) {
      const batch = Object.entries(sequences).flatMap(([session, list]): StepEntry[] => {
        const count = chunks[session]![round];
        return count ? [{ session, position: seen[session]!, ids: list.slice(seen[session], seen[session]! + count), head: ALL }] : [];
      });
      const results = await stage.step(batch);
      for (const [i, { session, ids: some }] of batch.entries()) {
        seen[session]! += some!.length;
        const logits = alone[session][seen[session]! - 1];
        const { ids: best, logits: values } = results[i]!.head!;
        expect([...values]).toEqual([...best].map((id) => logits[id]));
        expect(best.length).toBe(pack.manifest.tokenCount);
      }
    }
  });

  it('two stages one after the other equal one', async () => {
    const { layerTypes, vocabSize } = CONFIGS[name];
    const [first, second] = await Promise.all([
      loadStage({ modules, ...pack, spec: { layers: { first: 0, last: 2 }, embed: { first: 0, last: vocabSize }, head: null } }),
      loadStage({
        modules,
        ...pack,
        spec: { layers: { first: 2, last: layerTypes.length }, embed: null, head: { first: 0, last: vocabSize } },
      }),
    ]);
    await Promise.all([first.open('a'), second.open('a')]);
    for (const [at, end] of [
      [0, 50],
      [50, 51],
      [51, 140],
    ] as const) {
      const [{ hidden, head } = { hidden: null, head: null }] = await first.step([{ session: 'a', position: at, ids: ids.slice(at, end) }]);
      expect(head).toBeNull();
      const [result] = await second.step([{ session: 'a', position: at, hidden: hidden!, head: ALL }]);
      expect(result!.hidden).toBeNull();
      expect(await second.logits('a')).toEqual(whole[end - 1]);
    }
    expect((await first.memory()).weightBytes).toBeLessThan((await stage.memory()).weightBytes);
  });

  it('a snapshot is the same whatever other sessions have left in memory', async () => {
    const fresh = await loadStage({ modules, ...pack });
    for (const at of [fresh, stage]) {
      await at.open('a');
      await at.step([{ session: 'a', position: 0, ids: ids.slice(0, 70) }]);
      // Memory that is set aside is used later, or never.
      await at.open('b');
      await at.reserve([{ session: 'b', tokens: 140 }]);
      for (const position of [0, 50]) await at.step([{ session: 'b', position, ids: ids.slice(position, position + 50) }]);
    }
    for (const session of ['a', 'b']) expect(await stage.snapshot(session)).toEqual(await fresh.snapshot(session));
  });

  it('a session restored from a snapshot goes on as if nothing had happened', async () => {
    await stage.open('a');
    await stage.step([{ session: 'a', position: 0, ids: ids.slice(0, 70) }]);
    const snapshot = await stage.snapshot('a');
    const other = await loadStage({ modules, ...pack });
    await other.restore('b', snapshot);
    expect(await other.logits('b')).toEqual(whole[69]);
    await other.step([{ session: 'b', position: 70, ids: ids.slice(70) }]);
    expect(await other.logits('b')).toEqual(whole[139]);
    // The original is untouched.
    await stage.step([{ session: 'a', position: 70, ids: ids.slice(70, 90) }]);
    expect(await stage.logits('a')).toEqual(whole[89]);
  });

  it('memory of a closed session is used again, without a trace of it', async () => {
    await stage.open('a');
    await stage.step([{ session: 'a', position: 0, ids: tokens(140, 9) }]);
    const before = await stage.memory();
    await stage.close('a');
    expect((await stage.memory()).sessionBytes).toBe(0);
    await stage.open('b');
    await stage.step([{ session: 'b', position: 0, ids }]);
    expect(await stage.logits('b')).toEqual(whole[139]);
    expect(await stage.memory()).toEqual(before);
  });
});

describe('a stage', () => {
  const config = { ...CONFIGS.tied, contextLength: 100 };
  let pack: MemoryPack;
  let stage: LocalStage;
  beforeAll(() => {
    pack = memoryPack(config, randomWeights(config, 7), 'q8_0');
  });
  beforeEach(async () => {
    stage = await loadStage({ modules, ...pack });
    await stage.open('a');
  });
  const step = (entry: Partial<StepEntry>, on: Stage = stage) => on.step([{ session: 'a', position: 0, ...entry }]);
  const refusal = (code: string) => expect.objectContaining({ name: 'StageError', code });

  it.each<[string, string, Partial<StepEntry>]>([
    ['a session that is not open', 'unknown_session', { session: 'x', ids: [1] }],
    ['a position that is not next', 'wrong_position', { position: 1, ids: [1] }],
    ['neither ids nor hidden states', 'bad_input', {}],
    ['no tokens', 'bad_input', { ids: [] }],
    ['both ids and hidden states', 'bad_input', { ids: [1], hidden: new Float32Array(64) }],
    ['hidden states where it embeds', 'bad_input', { hidden: new Float32Array(64) }],
    ['an id outside the vocabulary', 'bad_input', { ids: [1, 320] }],
    ['an id that is no whole number', 'bad_input', { ids: [1.5] }],
    ['more than the context holds', 'context_limit', { ids: tokens(101) }],
  ])('refuses %s and stays usable', async (_, code, entry) => {
    await expect(step(entry)).rejects.toEqual(refusal(code));
    await step({ ids: [5] });
    expect(await stage.logits('a')).toEqual((await stage.forward([5]))[0]);
  });

  it('refuses a batch as a whole when one entry is wrong', async () => {
    await stage.open('b');
    const wrong = [
      { session: 'a', position: 0, ids: [1] },
      { session: 'b', position: 3, ids: [1] },
    ];
    await expect(stage.step(wrong)).rejects.toEqual(refusal('wrong_position'));
    const twice = [
      { session: 'a', position: 0, ids: [1] },
      { session: 'a', position: 1, ids: [1] },
    ];
    await expect(stage.step(twice)).rejects.toEqual(refusal('bad_input'));
    await step({ ids: [1] });
  });

  it('fills its context to the last position and not beyond', async () => {
    await step({ ids: tokens(100) });
    await expect(step({ position: 100, ids: [1] })).rejects.toEqual(refusal('context_limit'));
    const short = await loadStage({ modules, ...pack, contextLength: 10 });
    await short.open('a');
    await expect(step({ ids: tokens(11) }, short)).rejects.toEqual(refusal('context_limit'));
  });

  it('refuses to open a session twice, and closes one that is not open without complaint', async () => {
    await expect(stage.open('a')).rejects.toEqual(refusal('session_exists'));
    await stage.close('nobody');
    await stage.close('a');
    await stage.close('a');
    await stage.open('a');
  });

  it('has no logits before the first token', async () => {
    await expect(stage.head('a', ALL)).rejects.toEqual(refusal('bad_input'));
  });

  it('refuses snapshots that are not its own', async () => {
    await step({ ids: tokens(20) });
    const snapshot = await stage.snapshot('a');
    const other = await loadStage({ modules, ...memoryPack(config, randomWeights(config, 8), 'q8_0') });
    await expect(other.restore('b', snapshot)).rejects.toEqual(refusal('bad_snapshot'));
    for (const damaged of [snapshot.slice(0, 10), snapshot.slice(0, -4), new Uint8Array(100)]) {
      await expect(stage.restore('b', damaged)).rejects.toEqual(refusal('bad_snapshot'));
    }
    await stage.restore('b', snapshot);
    await expect(stage.restore('b', snapshot)).rejects.toEqual(refusal('session_exists'));
  });

  it('stops within a layer when aborted, leaves its session unusable until closed, and others as they were', async () => {
    const controller = new AbortController();
    let yields = 0;
    const stopping = await loadStage({
      modules,
      ...pack,
      yieldNow: async () => {
        await new Promise(setImmediate);
        if (++yields === 3) controller.abort(new Error('client gone'));
      },
    });
    await stopping.open('a');
    await stopping.open('b');
    const running = stopping.step([{ session: 'a', position: 0, ids: tokens(90) }], controller.signal);
    const queued = stopping.step([{ session: 'b', position: 0, ids: tokens(30) }]);
    await expect(running).rejects.toThrow('client gone');
    expect(yields).toBe(3);
    await queued;
    expect(await stopping.logits('b')).toEqual((await stage.forward(tokens(30)))[29]);
    await expect(step({ ids: [1] }, stopping)).rejects.toEqual(refusal('unknown_session'));
    await expect(stopping.snapshot('a')).rejects.toEqual(refusal('unknown_session'));
    await stopping.close('a');
    await stopping.open('a');
    await step({ ids: tokens(30) }, stopping);
    expect(await stopping.logits('a')).toEqual(await stopping.logits('b'));
  });

  it('an abort before the step leaves the session as it was', async () => {
    await expect(stage.step([{ session: 'a', position: 0, ids: [1] }], AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    await step({ ids: [1] });
  });

  it('lets other events in between layers', async () => {
    let [events, running] = [0, true];
    const count = () => {
      events += 1;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    await step({ ids: tokens(90) });
    running = false;
    // Three micro-batches of four layers.
    expect(events).toBeGreaterThanOrEqual(12);
  });

  it('lets other events in between rows of the head', async () => {
    const many = { ...config, vocabSize: 20_000 };
    const pauses: number[] = [];
    const yieldNow = async (work: number) => void pauses.push(work);
    const large = await loadStage({ modules, ...memoryPack(many, randomWeights(many, 7), 'q8_0'), yieldNow });
    await large.open('a');
    await step({ ids: [1] }, large);
    const layers = pauses.length;
    await step({ position: 1, ids: [2], head: ALL }, large);
    const rows = pauses.slice(2 * layers).map((work) => work / many.hiddenSize);
    expect(rows.reduce((sum, count) => sum + count, 0)).toBe(many.vocabSize);
    expect(Math.max(...rows)).toBeLessThanOrEqual(HEAD_ROWS);
  });

  it('carries out calls in the order they were made', async () => {
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    await Promise.all([
      step({ ids: tokens(40) }).then(note('first')),
      step({ position: 40, ids: tokens(3) }).then(note('second')),
      stage.snapshot('a').then(note('snapshot')),
      stage.close('a').then(note('close')),
    ]);
    expect(order).toEqual(['first', 'second', 'snapshot', 'close']);
  });
});
