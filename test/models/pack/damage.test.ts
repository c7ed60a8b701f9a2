import { appendFileSync, cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FolderStorage } from '../../../models/pack/folder-storage.ts';
import type { Manifest } from '../../../models/pack/manifest.ts';
import { packModel } from '../../../models/pack/pack-model.ts';
import { openPack } from '../../../models/pack/reader.ts';
import { verifyPack } from '../../../models/pack/verify.ts';
import { GOLDEN_MODEL } from '../../support/golden.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();
const sound = join(folder, 'sound');
const copy = join(folder, 'copy');
const manifestFile = join(copy, 'manifest.json');

beforeAll(() => packModel(GOLDEN_MODEL, sound, { quantization: 'q4_0' }));
beforeEach(() => {
  rmSync(copy, { recursive: true, force: true });
  cpSync(sound, copy, { recursive: true });
});

const verify = async () => verifyPack(await openPack(new FolderStorage(copy)));

describe('verifying finds', () => {
  test('a changed byte', async () => {
    const file = join(copy, 'layer-03.bin');
    const bytes = readFileSync(file);
    bytes[1000] = bytes[1000]! ^ 1;
    writeFileSync(file, bytes);
    expect(await verify()).toEqual(['layer-03.bin is damaged: its checksum does not match the manifest.']);
  });

  test('files that are short, long or missing, all at once', async () => {
    truncateSync(join(copy, 'layer-00.bin'), 100);
    appendFileSync(join(copy, 'final.bin'), 'x');
    rmSync(join(copy, 'embed-000.bin'));
    expect(await verify()).toEqual([
      'embed-000.bin is missing from the pack.',
      expect.stringMatching(/^layer-00\.bin has 100 bytes, and \d+ were expected\.$/),
      'final.bin has 513 bytes, and 512 were expected.',
    ]);
  });

  test('a SHA-256 that does not match, even where the checksum does', async () => {
    const manifest = JSON.parse(readFileSync(manifestFile, 'utf8')) as Manifest;
    manifest.files[0]!.sha256 = '0'.repeat(64);
    writeFileSync(manifestFile, JSON.stringify(manifest));
    expect(await verify()).toEqual(['embed-000.bin is damaged: its SHA-256 does not match the manifest.']);
  });
});

describe('opening refuses a manifest', () => {
  test.each<[string, (manifest: Manifest) => unknown, RegExp]>([
    ['of a later version', (manifest) => Object.assign(manifest, { version: 2 }), /format version 2, and this program reads version 1/],
    ['of something else', (manifest) => Object.assign(manifest, { format: 'pack' }), /not the manifest of a Nearside pack/],
    ['with a value of a wrong type', (manifest) => Object.assign(manifest, { eosIds: 'none' }), /manifest\.json is not usable: eosIds/],
    ['that lacks a tensor', (manifest) => delete manifest.tensors['layers.2.up_proj'], /layers\.2\.up_proj is missing from the manifest/],
    [
      'with another shape',
      (manifest) => manifest.tensors.norm!.shape.splice(0, 1, 64),
      /norm has the shape \[64\], and \[128\] was expected/,
    ],
    [
      'with another type',
      (manifest) => Object.assign(manifest.tensors['layers.0.up_proj']!, { type: 'q8_0' }),
      /has the type q8_0, and q4_0 was/,
    ],
    [
      'with a part outside its file',
      (manifest) => Object.assign(manifest.tensors.embed!.parts[0]!, { offset: 64 }),
      /part of embed lies outside its file/,
    ],
    [
      'with a part off its border',
      (manifest) => Object.assign(manifest.tensors.norm!.parts[0]!, { offset: 4 }),
      /part of norm lies outside its file/,
    ],
    [
      'with a part of the wrong size',
      (manifest) => Object.assign(manifest.tensors.embed!.parts[0]!, { bytes: 64 }),
      /part of embed has 64 bytes/,
    ],
    [
      'with rows left out',
      (manifest) => Object.assign(manifest.tensors.embed!.parts[0]!, { rows: 32, bytes: 2304 }),
      /parts of embed have 32 rows, and 512/,
    ],
    [
      'with tensors over one another',
      (manifest) =>
        Object.assign(manifest.tensors['layers.0.up_proj']!.parts[0]!, {
          offset: manifest.tensors['layers.0.gate_proj']!.parts[0]!.offset,
        }),
      /layers\.0\.(gate|up)_proj and layers\.0\.(gate|up)_proj overlap/,
    ],
    [
      'with a file larger than any',
      (manifest) => Object.assign(manifest.files[0]!, { bytes: 2 ** 40 }),
      /manifest\.json is not usable: files\.0\.bytes: /,
    ],
    [
      'that names a file elsewhere',
      (manifest) => Object.assign(manifest.files[0]!, { name: '../../etc/passwd' }),
      /names a file "\.\.\/\.\.\/etc\/passwd"/,
    ],
  ])('%s', async (_, edit, message) => {
    const manifest = JSON.parse(readFileSync(manifestFile, 'utf8')) as Manifest;
    edit(manifest);
    writeFileSync(manifestFile, JSON.stringify(manifest));
    await expect(openPack(new FolderStorage(copy))).rejects.toThrow(message);
  });

  test('that is no JSON, and a folder without one', async () => {
    writeFileSync(manifestFile, '{');
    await expect(openPack(new FolderStorage(copy))).rejects.toThrow('manifest.json is not valid JSON.');
    await expect(openPack(new FolderStorage(folder))).rejects.toThrow(/is not a pack: it has no manifest\.json/);
  });
});
