import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { dequantizeTensor } from '../../../models/pack/dequantize.ts';
import { FolderStorage } from '../../../models/pack/folder-storage.ts';
import type { Importance } from '../../../models/pack/importance.ts';
import { MAX_FILE_BYTES, type WeightType } from '../../../models/pack/manifest.ts';
import { type Calibration, packModel } from '../../../models/pack/pack-model.ts';
import { openPack, type Pack } from '../../../models/pack/reader.ts';
import { verifyPack } from '../../../models/pack/verify.ts';
import { openSource } from '../../../models/sources/index.ts';
import type { Source } from '../../../models/sources/source.ts';
import { tensorGroups } from '../../../models/tensors.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { convertToGguf } from '../../support/convert-to-gguf.ts';
import { GOLDEN_MODEL, readGolden } from '../../support/golden.ts';
import { makeGguf } from '../../support/make-gguf.ts';
import { packReference } from '../../support/pack-reference.ts';
import { sameFloats } from '../../support/same-floats.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();
let count = 0;

async function packed(path: string, quantization: WeightType): Promise<Pack> {
  const out = join(folder, `pack-${count++}`);
  await packModel(path, out, { quantization });
  const pack = await openPack(new FolderStorage(out));
  expect(await verifyPack(pack)).toEqual([]);
  return pack;
}

const floatsOf = async (source: Source, name: string, rows: number) => {
  const data = await source.read(name, 0, rows);
  if (data.type !== 'f32') throw new Error('floats were asked for');
  return data.values;
};

/** Largest error of a value in units of the largest value of its block of 32: half a step of q8_0, a whole step of q4_0 (its range is lopsided). */
const BOUNDS = { f32: 0, q8_0: 0.5 / 127 + 2 ** -11, q4_0: 1 / 8 + 2 ** -11 };

describe.each([
  { title: 'golden model', path: GOLDEN_MODEL },
  { title: 'sharded, untied, nv = 2 nk', path: checkpoint('qwen3_5-untied') },
  { title: 'llama', path: checkpoint('llama-tied') },
])('a pack of the $title', ({ path }) => {
  test.each(['f32', 'q8_0', 'q4_0'] as const)('in %s has the weights of its source', async (quantization) => {
    const pack = await packed(path, quantization);
    const source = await openSource(path);
    for (const { name, shape, storage } of tensorGroups(source.config).flatMap((group) => group.tensors)) {
      const expected = await floatsOf(source, name, shape.length === 1 ? 1 : shape[0]);
      const values = await dequantizeTensor(pack, name);
      if (quantization === 'f32' || storage !== 'matrix') expect(sameFloats(values, expected), name).toBe(true);
      else expect(worstBlockError(values, expected), name).toBeLessThanOrEqual(BOUNDS[pack.manifest.tensors[name]!.type]);
    }
    await source.close();
  });
});

function worstBlockError(values: Float32Array, expected: Float32Array): number {
  let worst = 0;
  for (let block = 0; block < expected.length; block += 32) {
    const [ours, theirs] = [values.subarray(block, block + 32), expected.subarray(block, block + 32)];
    const largest = theirs.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30);
    worst = theirs.reduce((max, value, i) => Math.max(max, Math.abs(value - ours[i]!) / largest), worst);
  }
  return worst;
}

describe('what the packed weights compute', () => {
  test("the golden model's logits", async () => {
    const reference = await packReference(await packed(GOLDEN_MODEL, 'f32'));
    const { ids, logits } = readGolden().prompts[1]!;
    const state = reference.newState();
    for (const [i, id] of ids.entries()) {
      const ours = reference.step(state, id);
      expect(Math.max(...logits[i]!.map((expected, token) => Math.abs(ours[token]! - expected)))).toBeLessThan(1e-5);
    }
  });

  test.each(['qwen3_5-tied', 'qwen3_5-untied'] as const)('the logits that transformers computes for %s', async (name) => {
    const reference = await packReference(await packed(checkpoint(name), 'f32'));
    const { prompts } = (await import(`${checkpoint(name)}/logits.json`, { with: { type: 'json' } })).default as {
      prompts: { ids: number[]; positions: number[]; logits: string }[];
    };
    const { ids, positions, logits } = prompts[1]!;
    const expected = new Float32Array(Uint8Array.from(Buffer.from(logits, 'base64')).buffer);
    const state = reference.newState();
    const rows = ids.map((id) => reference.step(state, id));
    for (const [i, position] of positions.entries()) {
      const errors = rows[position]!.map((ours, token) => Math.abs(ours - expected[i * 512 + token]!));
      expect(Math.max(...errors)).toBeLessThan(1e-3);
    }
  });
});

describe('a quantized GGUF is repacked without being quantized again', () => {
  let original: Pack;
  beforeAll(async () => {
    original = await packed(checkpoint('qwen3_5-untied'), 'q4_0');
  });

  test.each(['q4_0', 'q8_0'] as const)('%s', async (type) => {
    const source = await openSource(checkpoint('qwen3_5-untied'));
    const file = join(folder, `${type}.gguf`);
    await convertToGguf(source, file, type);
    await source.close();
    const gguf = await openSource(file);
    const repacked = await packed(file, type);
    for (const { name, shape, storage } of tensorGroups(gguf.config).flatMap((group) => group.tensors)) {
      if (storage !== 'matrix') continue;
      const values = await dequantizeTensor(repacked, name);
      expect(sameFloats(values, await floatsOf(gguf, name, shape[0])), name).toBe(true);
      // Value heads were moved before they were quantized, and moved back after: the blocks are those of the original.
      if (type === 'q4_0') expect(sameFloats(values, await dequantizeTensor(original, name)), name).toBe(true);
    }
    await gguf.close();
  });
});

describe('calibrating q4_0', () => {
  const chat = join(folder, 'random-tiny.F32.gguf');
  beforeAll(() => void makeGguf(chat, 'tiny', 'f32'));

  /** Packs with columns 0 and 5 of up_proj a thousand times as important as the others, and tells what the model was to read. */
  async function calibrated(path: string, quantization: WeightType) {
    const read: number[][] = [];
    const calibration: Calibration = {
      text: 'Hello hello',
      run: async ({ config }, ids): Promise<Importance> => {
        read.push(ids);
        const weights = new Float32Array(config.hiddenSize).fill(1);
        weights[0] = weights[5] = 1000;
        return new Map([['layers.0.up_proj', weights]]);
      },
    };
    const out = join(folder, `calibrated-${count++}`);
    await packModel(path, out, { quantization, calibration });
    return { pack: await openPack(new FolderStorage(out)), read };
  }

  test('makes columns that matter more exact, and leaves matrices of which nothing is known as they were', async () => {
    const { pack, read } = await calibrated(chat, 'q4_0');
    expect(read).toHaveLength(1);
    expect(read[0]!.length).toBeGreaterThan(0);
    expect(await verifyPack(pack)).toEqual([]);
    const plain = await packed(chat, 'q4_0');
    const source = await openSource(chat);
    const { hiddenSize, intermediateSize } = source.config;
    const exact = await floatsOf(source, 'layers.0.up_proj', intermediateSize);
    await source.close();
    const errorOf = async (of: Pack) => {
      const values = await dequantizeTensor(of, 'layers.0.up_proj');
      return exact.reduce((sum, value, i) => ([0, 5].includes(i % hiddenSize) ? sum + (value - values[i]!) ** 2 : sum), 0);
    };
    expect(await errorOf(pack)).toBeLessThan(0.5 * (await errorOf(plain)));
    const [ours, theirs] = [await dequantizeTensor(pack, 'layers.0.gate_proj'), await dequantizeTensor(plain, 'layers.0.gate_proj')];
    expect(sameFloats(ours, theirs)).toBe(true);
  });

  test('is left out for other types, without a tokenizer, and for what is stored in q4_0 already', async () => {
    const stored = join(folder, 'random-tiny.Q4_0.gguf');
    makeGguf(stored, 'tiny', 'q4_0');
    expect((await calibrated(chat, 'q8_0')).read).toEqual([]);
    expect((await calibrated(GOLDEN_MODEL, 'q4_0')).read).toEqual([]);
    expect((await calibrated(stored, 'q4_0')).read).toEqual([]);
  });
});

describe('v_proj of a q4_0 pack', () => {
  const finer = ({ manifest }: Pack) => Object.keys(manifest.tensors).filter((name) => manifest.tensors[name]!.type === 'q8_0');

  test('is q8_0 in a llama', async () => {
    const pack = await packed(checkpoint('llama-tied'), 'q4_0');
    expect(finer(pack)).toEqual(pack.manifest.config.layerTypes.map((_, layer) => `layers.${layer}.v_proj`));
  });

  test('stays q4_0 where the source has it so, and in a hybrid', async () => {
    const stored = join(folder, 'llama.Q4_0.gguf');
    const source = await openSource(checkpoint('llama-tied'));
    await convertToGguf(source, stored, 'q4_0');
    await source.close();
    expect(finer(await packed(stored, 'q4_0'))).toEqual([]);
    expect(finer(await packed(GOLDEN_MODEL, 'q4_0'))).toEqual([]);
  });
});

describe('a pack', () => {
  test('says what its source says: name, random weights, end tokens, tokenizer and template', async () => {
    const file = join(folder, 'random-tiny.Q8_0.gguf');
    makeGguf(file, 'tiny', 'q8_0');
    const { manifest } = await packed(file, 'q8_0');
    expect(manifest).toMatchObject({ name: 'random-tiny', source: 'random-tiny.Q8_0.gguf', fixture: true, quantization: 'q8_0' });
    expect(manifest.tokenizer?.bytes).toBeGreaterThan(0);
    expect(manifest.tokenCount).toBeLessThan(manifest.config.vocabSize);
    expect(manifest.eosIds.length).toBe(2);
    expect(manifest.chatTemplate).toContain('<|im_start|>');
    expect(manifest.thinkingDefault).toBeNull();
  });

  test('without a tokenizer warns, and counts every row as a token', async () => {
    const { manifest, warnings } = await packModel(GOLDEN_MODEL, join(folder, 'no-tokenizer'), { quantization: 'q8_0' });
    expect(warnings).toEqual(['The source has no tokenizer, so the pack takes and gives token ids only.']);
    expect(manifest).toMatchObject({ name: 'tiny-tied', tokenizer: null, tokenCount: 512, eosIds: [500], fixture: false });
  });

  test('keeps layers, token table and final norm in files of their own, none larger than an asset may be', async () => {
    const { manifest } = await packed(GOLDEN_MODEL, 'q4_0');
    expect(manifest.files.map((file) => file.name)).toEqual([
      'embed-000.bin',
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((layer) => `layer-0${layer}.bin`),
      'final.bin',
    ]);
    expect(Math.max(...manifest.files.map((file) => file.bytes))).toBeLessThanOrEqual(MAX_FILE_BYTES);
  });

  test.each(['f32', 'q4_0'] as const)('in %s whose matrices are cut across files is the same model', async (quantization) => {
    const whole = await packed(checkpoint('qwen3_5-untied'), quantization);
    const out = join(folder, `cut-${quantization}`);
    await packModel(checkpoint('qwen3_5-untied'), out, { quantization, maxFileBytes: 24_000 });
    const cut = await openPack(new FolderStorage(out));
    expect(await verifyPack(cut)).toEqual([]);
    expect(Math.max(...cut.manifest.files.map((file) => file.bytes))).toBeLessThanOrEqual(24_000);
    expect(cut.manifest.files.map((file) => file.name)).toEqual(
      expect.arrayContaining(['embed-001.bin', 'head-001.bin', 'layer-00-2.bin']),
    );
    for (const name of Object.keys(whole.manifest.tensors)) {
      expect(sameFloats(await dequantizeTensor(cut, name), await dequantizeTensor(whole, name)), name).toBe(true);
    }
  });

  test('cannot have files smaller than a few rows', async () => {
    const packing = packModel(GOLDEN_MODEL, join(folder, 'too-small'), { quantization: 'f32', maxFileBytes: 10_000 });
    await expect(packing).rejects.toThrow('embed needs files of at least 16384 bytes, and they may have 10000.');
  });

  test('reports progress up to the last byte', async () => {
    const seen: [number, number][] = [];
    await packModel(GOLDEN_MODEL, join(folder, 'progress'), { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.map(([done]) => done)).toEqual(seen.map(([done]) => done).toSorted((a, b) => a - b));
    expect(seen.at(-1)![0]).toBe(seen.at(-1)![1]);
  });

  test('does not replace what is there', async () => {
    await expect(packModel(GOLDEN_MODEL, folder)).rejects.toThrow(/exists already; remove it or choose another folder/);
  });

  test('that is interrupted leaves nothing behind', async () => {
    const controller = new AbortController();
    const out = join(folder, 'interrupted');
    const packing = packModel(GOLDEN_MODEL, out, {
      signal: controller.signal,
      onProgress: (done, total) => done > total / 2 && controller.abort(new Error('stop')),
    });
    await expect(packing).rejects.toThrow('stop');
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });

  test('of columns that are no multiple of 32 must be f32', async () => {
    const path = checkpoint('llama-tied');
    const source = await openSource(path);
    const odd = { ...source.config, intermediateSize: 160 + 16 };
    await source.close();
    const { planLayout } = await import('../../../models/pack/layout.ts');
    expect(() => planLayout(odd, 'q4_0')).toThrow(
      /down_proj has 176 columns, which is no multiple of 32, so it cannot be packed as q4_0; use --quant f32\./,
    );
    expect(planLayout(odd, 'f32').files.length).toBeGreaterThan(0);
  });
});
