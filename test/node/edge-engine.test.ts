import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { parseEdgeConfig } from '../../worker/edge/config.ts';
import { loadEngine } from '../../worker/edge/engine.ts';
import { createEventLoop } from '../../worker/edge/event-loop.ts';

const folder = fileURLToPath(new URL('../../models/demo/pack', import.meta.url));
const now = () => performance.now();
const config = parseEdgeConfig({});

it('loads the weights while the tokenizer is on its way', async () => {
  const pack = await openPack(new FolderStorage(folder));
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const late = { ...pack, file: (file: Parameters<typeof pack.file>[0]) => begun.then(() => pack.file(file)) };
  const engine = await loadEngine(late, config, {
    loadStage: (options) => {
      begin();
      return loadStage({ modules: nodeKernels(), ...options });
    },
    eventLoop: createEventLoop(now),
    now,
  });
  expect(engine.tokenizer.bytesOf(0)).toBeInstanceOf(Uint8Array);
});

it('says what is wrong with the tokenizer, whatever becomes of the weights', async () => {
  const pack = await openPack(new FolderStorage(folder));
  const damaged = { ...pack, file: () => Promise.reject(new Error('tokenizer.bin is damaged')) };
  const host = { loadStage: () => Promise.reject(new Error('no weights')), eventLoop: createEventLoop(now), now };
  await expect(loadEngine(damaged, config, host)).rejects.toThrow('tokenizer.bin is damaged');
});

it('says what to raise where memory is enough for the weights and for nothing besides', async () => {
  const pack = await openPack(new FolderStorage(folder));
  const loading = loadEngine(pack, config, {
    loadStage: async (options) => {
      const stage = await loadStage({ modules: nodeKernels(), ...options });
      const { room, ...memory } = await stage.memory();
      return Object.create(stage, { memory: { value: async () => ({ ...memory, room: { ...room!, bytes: room!.slotBytes } }) } });
    },
    eventLoop: createEventLoop(now),
    now,
  });
  await expect(loading).rejects.toThrow(/no session beside them: raise NEARSIDE_EDGE_MEMORY_BYTES/);
});
