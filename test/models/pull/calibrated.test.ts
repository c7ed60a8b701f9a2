import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { calibration } from '../../../models/cli/engine.ts';
import { packModel, preparePack } from '../../../models/pack/pack-model.ts';
import { writePack } from '../../../models/pack/writer.ts';
import { type PullOptions, pullModel } from '../../../models/pull/pull-model.ts';
import { openSource } from '../../../models/sources/index.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { convertToGguf } from '../../support/convert-to-gguf.ts';
import { folderFiles, type HubModel, type HubServer, startHub } from '../../support/hub-server.ts';
import { BYTE_LETTERS } from '../../support/small-tokenizer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

type Name = Parameters<typeof checkpoint>[0];

const folder = temporaryFolder();
const TEXT = 'A short text, of which every letter counts: 1, 2, 3. '.repeat(4);
let hub: HubServer;
afterEach(() => hub.close());

const weights = (pack: string) =>
  readdirSync(pack)
    .filter((name) => name.endsWith('.bin'))
    .sort()
    .map((name) => [name, readFileSync(join(pack, name)).toString('base64')]);

async function pull(files: HubModel['files'], out: string, options: Partial<PullOptions> = {}) {
  hub = await startHub({ name: 'org/model', files });
  return pullModel('org/model', out, {
    revision: 'main',
    quantization: 'q4_0',
    keep: false,
    hub: { endpoint: hub.endpoint, idleMs: 2000 },
    connections: 2,
    chunkBytes: 64 * 1024,
    onProgress: () => {},
    ...options,
  });
}

/** One token a byte, with the byte as its id. */
const TOKENIZER = new TextEncoder().encode(
  JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(BYTE_LETTERS.map((letter, id) => [letter, id])), merges: [] },
  }),
);
const withTokenizer = (name: Name) => ({ ...folderFiles(checkpoint(name)), 'tokenizer.json': TOKENIZER });

/** The checkpoint as a GGUF, whose q8_0 is what a pull keeps the weights in. */
async function asGguf(name: Name, type: 'q8_0' | 'q4_0'): Promise<string> {
  const path = join(folder, `${name}-${type}.gguf`);
  const source = await openSource(checkpoint(name));
  await convertToGguf(source, path, type);
  await source.close();
  return path;
}

describe.each(['qwen3_5-tied', 'llama-tied', 'qwen3_5-untied'] as const)('a pull of %s with calibration', (name) => {
  test('gives what packing the same weights in q8_0 gives, and other weights than without', async () => {
    const out = join(folder, `${name}-pulled`);
    const { manifest } = await pull(withTokenizer(name), out, { calibration: calibration(TEXT, {}) });
    expect(manifest).toMatchObject({ quantization: 'q4_0', source: 'org/model@aaaaaaaaaaaa' });
    expect(existsSync(`${out}.partial`)).toBe(false);

    const same = join(folder, `${name}-packed`);
    const source = await openSource(await asGguf(name, 'q8_0'));
    const { description } = preparePack(source, { quantization: 'q4_0' });
    const importance = await calibration(TEXT, {}).run(source, [...new TextEncoder().encode(TEXT)], description);
    await writePack(source, same, description, { tokenizer: null, importance });
    await source.close();
    const bins = (pack: string) => weights(pack).filter(([file]) => file !== 'tokenizer.bin');
    expect(bins(out)).toEqual(bins(same));

    const plain = join(folder, `${name}-plain`);
    await packModel(checkpoint(name), plain);
    expect(bins(out)).not.toEqual(bins(plain));
    expect(weights(out).map(([file]) => file)).toContain('tokenizer.bin');
  });
});

test('interrupted while it calibrates, it goes on without fetching the weights again', async () => {
  const out = join(folder, 'interrupted');
  const files = withTokenizer('qwen3_5-tied');
  const interrupt = new AbortController();
  const calibrating = calibration(TEXT, { onProgress: () => interrupt.abort(new Error('enough')), signal: interrupt.signal });
  await expect(pull(files, out, { calibration: calibrating, signal: interrupt.signal })).rejects.toThrow('enough');
  expect(existsSync(out)).toBe(false);
  await hub.close();

  await pull(files, out, { calibration: calibration(TEXT, {}) });
  expect(hub.seen.filter(({ path, range }) => path.includes('safetensors') && range && range[0] > 0)).toEqual([]);
  expect(weights(out)).toEqual(weights(join(folder, 'qwen3_5-tied-pulled')));
});

test('weights that have four bits already are taken as they are', async () => {
  const path = await asGguf('llama-tied', 'q4_0');
  const [out, same] = [join(folder, 'q4'), join(folder, 'q4-packed')];
  await pull({ 'model.gguf': { path } }, out, { file: 'model.gguf', calibration: calibration(TEXT, {}) });
  await packModel(path, same, {});
  expect(weights(out)).toEqual(weights(same));
});
