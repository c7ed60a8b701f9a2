import { beforeEach, expect, it } from 'vitest';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';

const modules = nodeKernels();
const config = { ...CONFIGS.tied, contextLength: 100 };
const pack = memoryPack(config, randomWeights(config, 7), 'q8_0');
const tokens = (count: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + 101) % 301);
const refusal = (code: string) => expect.objectContaining({ name: 'StageError', code });

let stage: LocalStage;
beforeEach(async () => {
  stage = await loadStage({ modules, ...pack });
  await stage.open('a');
});

it('has room for sessions up to its limit, and again when one has closed', async () => {
  const { wasmBytes, sessionBytes } = await stage.memory();
  const small = await loadStage({ modules, ...pack, maxBytes: wasmBytes + 3 * sessionBytes });
  const opened: string[] = [];
  const openMany = async () => {
    for (let i = 0; i < 50; i++) {
      await small.open(`s${i}`);
      opened.push(`s${i}`);
    }
  };
  await expect(openMany()).rejects.toEqual(refusal('out_of_memory'));
  const limited = (await small.memory()).sessionBytes;
  await small.close(opened[0]!);
  await small.open('again');
  expect((await small.memory()).sessionBytes).toBe(limited);
});

it('sets memory aside, which nobody else gets and which a copy does not have', async () => {
  const wide = memoryPack({ ...config, contextLength: 100_000 }, randomWeights(config, 7), 'q8_0');
  const { wasmBytes, room } = await (await loadStage({ modules, ...wide })).memory();
  expect(room).toMatchObject({ pageTokens: 64 });
  const small = await loadStage({ modules, ...wide, maxBytes: wasmBytes + 300_000 });
  await small.open('a');
  await small.open('b');
  const [before, own] = [await small.memory(), await small.bytesOf(['a'])];
  let aside = 0;
  const all = async () => {
    for (;;) {
      await small.reserve([{ session: 'a', tokens: aside + 64 }]);
      aside += 64;
    }
  };
  await expect(all()).rejects.toEqual(refusal('out_of_memory'));
  expect(aside).toBeGreaterThan(64);
  expect((await small.memory()).sessionBytes).toBe(before.sessionBytes + (aside / 64) * room!.pageBytes);
  expect(await small.bytesOf(['a'])).toBe(own);
  await expect(small.step([{ session: 'b', position: 0, ids: [1] }])).rejects.toEqual(refusal('out_of_memory'));
  for (let position = 0; position < aside; position += 32) await small.step([{ session: 'a', position, ids: Array(32).fill(1) }]);
  await small.close('a');
  await small.step([{ session: 'b', position: 0, ids: [1] }]);
});

it('has room for as many sessions as at first when one that had all memory is gone', async () => {
  const wide = memoryPack({ ...config, contextLength: 100_000 }, randomWeights(config, 7), 'q8_0');
  const { wasmBytes } = await (await loadStage({ modules, ...wide })).memory();
  const small = await loadStage({ modules, ...wide, maxBytes: wasmBytes + 300_000 });
  const openMany = async (): Promise<string[]> => {
    const opened: string[] = [];
    for (;;) {
      const id = `s${opened.length}`;
      try {
        await small.open(id);
      } catch {
        return opened;
      }
      opened.push(id);
    }
  };
  const first = await openMany();
  expect(first.length).toBeGreaterThan(1);
  for (const id of first) await small.close(id);
  await small.open('greedy');
  for (let tokens = 64, more = true; more; tokens += 64) {
    more = await small.reserve([{ session: 'greedy', tokens }]).then(
      () => true,
      () => false,
    );
  }
  await small.close('greedy');
  expect(await openMany()).toEqual(first);
});

it('refuses a step for which memory is missing before anything has changed', async () => {
  const roomy = { ...config, contextLength: 100_000 };
  const wide = memoryPack(roomy, randomWeights(config, 7), 'q8_0');
  const probe = await loadStage({ modules, ...wide });
  const small = await loadStage({ modules, ...wide, maxBytes: (await probe.memory()).wasmBytes + 300_000 });
  await small.open('a');
  await expect(small.step([{ session: 'a', position: 0, ids: tokens(2000) }])).rejects.toEqual(refusal('out_of_memory'));
  await small.step([{ session: 'a', position: 0, ids: tokens(30) }]);
  expect(await small.logits('a')).toEqual((await stage.forward(tokens(30)))[29]);
});
