import { describe, expect, it } from 'vitest';
import { type LoadOptions, loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';

const weights = randomWeights(CONFIGS.untied, 1);
const makePack = (): MemoryPack => memoryPack(CONFIGS.untied, weights, 'q4_0', { maxFileBytes: 4096 });
const load = (pack: MemoryPack, options: Partial<LoadOptions> = {}) => loadStage({ modules: nodeKernels(), ...pack, ...options });

describe('loading', () => {
  it.each<[string, NonNullable<LoadOptions['spec']>, RegExp]>([
    ['layers in the middle', { layers: { first: 1, last: 3 }, embed: null, head: null }, /^layer-0[12]/],
    ['the first rows of the token table', { layers: { first: 0, last: 0 }, embed: { first: 0, last: 32 }, head: null }, /^embed-000/],
    [
      'the last rows of the head',
      { layers: { first: 3, last: 4 }, embed: null, head: { first: 288, last: 301 } },
      /^(layer-03|final|head-00[3-9])/,
    ],
  ])('reads only the files it needs: %s', async (_, spec, files) => {
    const pack = makePack();
    await load(pack, { spec });
    expect(pack.reads.length).toBeGreaterThan(0);
    expect(pack.reads.filter((name) => !files.test(name))).toEqual([]);
    expect(new Set(pack.reads).size).toBe(pack.reads.length);
  });

  it('reads every file of a whole model once', async () => {
    const pack = makePack();
    const stage = await load(pack);
    expect(pack.reads.toSorted()).toEqual([...pack.files.keys()].toSorted());
    const bytes = [...pack.files.values()].reduce((sum, file) => sum + file.length, 0);
    expect(await stage.memory()).toMatchObject({ weightBytes: bytes, sessionBytes: 0 });
  });

  it('refuses a damaged file by its name', async () => {
    const pack = makePack();
    const file = pack.files.get('layer-02-1.bin')!;
    file[file.length - 1]! ^= 1;
    await expect(load(pack)).rejects.toThrow(/layer-02-1\.bin is damaged/);
    await load(pack, { spec: { layers: { first: 0, last: 2 }, embed: null, head: null } });
  });

  it('passes on what the storage says of a missing file', async () => {
    const pack = makePack();
    pack.files.delete('final.bin');
    await expect(load(pack)).rejects.toThrow('final.bin');
  });

  it('refuses a model that is larger than its memory before reading anything', async () => {
    const pack = makePack();
    await expect(load(pack, { maxBytes: 131072 })).rejects.toMatchObject({ code: 'out_of_memory' });
    expect(pack.reads).toEqual([]);
  });

  it.each([
    ['layers that the model does not have', { layers: { first: 0, last: 5 }, embed: null, head: null }],
    ['layers backwards', { layers: { first: 2, last: 1 }, embed: null, head: null }],
    ['a slice that cuts a group of rows', { layers: { first: 0, last: 0 }, embed: null, head: { first: 8, last: 64 } }],
    ['an empty slice', { layers: { first: 0, last: 0 }, embed: { first: 32, last: 32 }, head: null }],
  ])('refuses %s', async (_, spec) => {
    await expect(load(makePack(), { spec })).rejects.toMatchObject({ code: 'bad_input' });
  });

  it('refuses ids outside its slice of the token table', async () => {
    const stage = await load(makePack(), { spec: { layers: { first: 0, last: 1 }, embed: { first: 64, last: 128 }, head: null } });
    await stage.open('a');
    await expect(stage.step([{ session: 'a', position: 0, ids: [63] }])).rejects.toMatchObject({ code: 'bad_input' });
    await stage.step([{ session: 'a', position: 0, ids: [64, 127] }]);
  });

  it('refuses shapes that its vectors do not divide, in one sentence', async () => {
    const config = { ...CONFIGS.untied, linear: { ...CONFIGS.untied.linear, valueDim: 8 } };
    const pack = memoryPack(config, randomWeights(config, 1), 'f32');
    await expect(load(pack)).rejects.toThrow('its linear attention value size is 8, which is no multiple of 16');
  });

  it('refuses to rotate more than there is', async () => {
    const pack = memoryPack(CONFIGS.untied, randomWeights(CONFIGS.untied, 1), 'f32');
    const config = { ...CONFIGS.untied, rotaryDim: 65_536 };
    await expect(load({ ...pack, manifest: { ...pack.manifest, config } })).rejects.toThrow('it rotates 65536 of a head');
  });

  it('says what is missing when no build of the kernels runs', async () => {
    await expect(load(makePack(), { modules: {} })).rejects.toThrow('WebAssembly SIMD');
  });
});
