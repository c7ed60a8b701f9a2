import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finerType, packedType } from '../../models/pack/layout.ts';
import { Arena } from '../../wasm/engine/arena.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels, nodeThreadKernels } from '../../wasm/engine/node-kernel.ts';
import { loadThreadedStage, NodeTeam } from '../../wasm/engine/node-team.ts';
import type { HeadQuery, StepEntry } from '../../wasm/engine/stage.ts';
import { MATRIX, PART, structBytes, writeStruct } from '../../wasm/engine/structs.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';

const ALL: HeadQuery = { candidates: 320, adjust: null, draw: { seed: 3, step: 1, temperature: 0.8 } };
const tokens = (count: number, seed = 1): number[] => Array.from({ length: count }, (_, i) => (i * 37 + seed * 101) % 301);
/** A small model; a llama in q4_0 has v_proj in q8_0, as llamas are packed. */
function small(name: ConfigName, type: 'q4_0' | 'q8_0' | 'f32'): MemoryPack {
  const typeOf = name === 'llama' ? finerType : packedType;
  return memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 7), type, {
    maxFileBytes: 20000,
    typeOf: (tensor) => typeOf(tensor, type),
  });
}

describe.each([
  ['tied', 'q4_0', 2],
  ['tied', 'q4_0', 3],
  ['untied', 'q8_0', 2],
  ['untied', 'q8_0', 3],
  ['llama', 'f32', 2],
  ['llama', 'f32', 3],
  ['llama', 'q4_0', 2],
  ['llama', 'q4_0', 3],
] as const)('a stage of the %s model, %s, on %i threads', (name, type, threads) => {
  let one: LocalStage;
  let several: LocalStage;
  beforeAll(async () => {
    const pack = small(name, type);
    one = await loadStage({ modules: nodeKernels(), ...pack });
    several = await loadThreadedStage(pack, threads);
  });
  afterAll(() => several.end());

  it('gives the bits that one thread gives: prefill, in chunks and in one go', async () => {
    const ids = tokens(140);
    const whole = await one.forward(ids);
    expect(await several.forward(ids)).toEqual(whole);
    await several.open('a');
    for (const [at, end] of [
      [0, 1],
      [1, 4],
      [4, 36],
      [36, 43],
      [43, 107],
      [107, 140],
    ] as const) {
      await several.step([{ session: 'a', position: at, ids: ids.slice(at, end) }]);
      expect(await several.logits('a')).toEqual(whole[end - 1]);
    }
    await several.close('a');
  });

  it('decode, and sessions in one batch', async () => {
    const starts = Object.entries({ a: 70, b: 3, c: 33 });
    const both = [one, several];
    for (const stage of both) for (const [session] of starts) await stage.open(session);
    const feed = async (entries: StepEntry[]) => {
      const [expected, given] = await Promise.all(both.map((stage) => stage.step(entries)));
      expect(given).toEqual(expected);
    };
    await feed(starts.map(([session, count], i) => ({ session, position: 0, ids: tokens(count, i), head: ALL })));
    // Three sessions, two, and one: each has kernels of its own.
    for (let i = 0; i < 6; i++) {
      const some = starts.slice(0, 3 - (i >> 1));
      await feed(some.map(([session, count]) => ({ session, position: count + i, ids: [i * 7], head: ALL })));
    }
    for (const stage of both) for (const [session] of starts) await stage.close(session);
  });

  it('snapshots go from one to the other', async () => {
    const ids = tokens(70);
    await one.open('a');
    await one.step([{ session: 'a', position: 0, ids }]);
    const snapshot = await one.snapshot('a');
    await several.restore('a', snapshot);
    expect(await several.snapshot('a')).toEqual(snapshot);
    for (const stage of [one, several]) await stage.close('a');
  });
});

describe('a stage on several threads', () => {
  const pack = small('tied', 'q8_0');

  it('gives the same bits with plain SIMD', async () => {
    const q4 = small('tied', 'q4_0');
    const several = await loadThreadedStage({ ...q4, modules: { simd: nodeThreadKernels().simd } }, 2);
    const one = await loadStage({ modules: { simd: nodeKernels().simd }, ...q4 });
    expect(await several.forward(tokens(40))).toEqual(await one.forward(tokens(40)));
    await several.end();
  });

  it('has its threads see memory that is added while they run', async () => {
    const long = { ...CONFIGS.llama, contextLength: 4000 };
    const grown = memoryPack(long, randomWeights(long, 7), 'f32');
    const several = await loadThreadedStage(grown, 2);
    const one = await loadStage({ modules: nodeKernels(), ...grown });
    const before = (await several.memory()).wasmBytes;
    const ids = tokens(900);
    expect((await several.forward(ids)).at(-1)).toEqual((await one.forward(ids)).at(-1));
    expect((await several.memory()).wasmBytes).toBeGreaterThan(before);
    await several.end();
  });

  it('takes no processor time while there is nothing to do', async () => {
    const several = await loadThreadedStage(pack, 3);
    await several.forward(tokens(40));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 400));
    const { user, system } = process.cpuUsage(before);
    // Two threads that looked on would take 800 ms.
    expect((user + system) / 1000).toBeLessThan(200);
    await several.end();
  });

  it('computes no more when it has ended', async () => {
    const several = await loadThreadedStage(pack, 2);
    await several.forward([1]);
    await several.end();
    await expect(several.forward([1])).rejects.toThrow('ended');
  });

  it('fails instead of waiting for ever when a thread has died', async () => {
    const team = new NodeTeam(nodeThreadKernels().simd!, 2);
    const stage = await loadStage({ modules: {}, team, ...pack });
    await stage.forward([1]);
    await team.workers[0]!.terminate();
    await expect(stage.forward([1])).rejects.toThrow('thread of the engine has died');
    await expect(stage.forward([1])).rejects.toThrow('thread of the engine has died');
  });

  it('fails when a thread dies in the middle of a job', async () => {
    const arena = new Arena(undefined, true);
    const kernel = await new NodeTeam(nodeThreadKernels().simd!, 2).start(arena);
    const [matrix, x, y] = [arena.allocate(structBytes(MATRIX) + 2 * structBytes(PART)), arena.allocate(4096), arena.allocate(4096)];
    const { buffer } = arena.memory;
    const parts = matrix + structBytes(MATRIX);
    writeStruct(buffer, matrix, MATRIX, { type: 0, rows: 64, columns: 8, partCount: 2, parts });
    writeStruct(buffer, parts, PART, { firstRow: 0, rows: 32, data: x });
    // The second thread's rows lie where there is no memory.
    writeStruct(buffer, parts + structBytes(PART), PART, { firstRow: 32, rows: 32, data: 0xffff0000 });
    kernel.input(x, 8, 1);
    expect(() => kernel.product(matrix, y)).toThrow('thread of the engine has died');
  });

  it('lets the process end', () => {
    const script = fileURLToPath(new URL('../support/threaded-process.ts', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 30_000 });
    expect([status, stdout.trim()]).toEqual([0, 'computed']);
  });
});
