import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { isPackOf } from '../../../bench/engine/model-files.ts';
import { packModel } from '../../../models/pack/pack-model.ts';
import { makeGguf } from '../../support/make-gguf.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();
const [gguf, pack] = [join(folder, 'tiny.gguf'), join(folder, 'tiny.pack')];

beforeAll(async () => {
  makeGguf(gguf, 'tiny', 'f16');
  await packModel(gguf, pack, { quantization: 'q4_0' });
});

it('a pack that was just made is used again', async () => {
  expect(await isPackOf(pack, gguf, 'q4_0')).toBe(true);
});

it('one that is not there, of another quantization or of another model is not', async () => {
  const other = join(folder, 'small.gguf');
  makeGguf(other, 'small', 'f16');
  expect(await isPackOf(join(folder, 'none.pack'), gguf, 'q4_0')).toBe(false);
  expect(await isPackOf(pack, gguf, 'q8_0')).toBe(false);
  expect(await isPackOf(pack, other, 'q4_0')).toBe(false);
});

it('nor is one in which packing gave a tensor another type than it does now', async () => {
  const path = join(pack, 'manifest.json');
  const before = readFileSync(path, 'utf8');
  const manifest = JSON.parse(before);
  manifest.tensors['layers.0.gate_proj'].type = 'q8_0';
  writeFileSync(path, JSON.stringify(manifest));
  expect(await isPackOf(pack, gguf, 'q4_0')).toBe(false);
  writeFileSync(path, before);
  expect(await isPackOf(pack, gguf, 'q4_0')).toBe(true);
});
