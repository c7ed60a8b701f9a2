import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { packModel } from '../../../models/pack/pack-model.ts';
import { PartialFolder } from '../../../models/pull/partial-folder.ts';
import { type PullOptions, pullModel } from '../../../models/pull/pull-model.ts';
import { openSource } from '../../../models/sources/index.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { convertToGguf } from '../../support/convert-to-gguf.ts';
import { type Fault, folderFiles, type HubModel, type HubRequest, type HubServer, startHub } from '../../support/hub-server.ts';
import { CONFIGS } from '../../support/models.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { writeCheckpoint } from '../../support/write-checkpoint.ts';

const folder = temporaryFolder();
const CHUNK = 64 * 1024;
let hub: HubServer | undefined;
let out = '';
let runs = 0;

afterEach(async () => {
  await hub?.close();
  hub = undefined;
});

async function serve(files: HubModel['files'], options: Partial<HubModel> = {}): Promise<HubServer> {
  await hub?.close();
  hub = await startHub({ name: 'org/model', files, ...options });
  out = join(folder, `out-${++runs}`);
  return hub;
}

const pull = (options: Partial<PullOptions> = {}) =>
  pullModel('org/model', out, {
    revision: 'main',
    quantization: 'q4_0',
    keep: false,
    hub: { endpoint: hub!.endpoint, retry: { tries: 3, firstWaitMs: 1, maxWaitMs: 2 }, idleMs: 2000 },
    connections: 3,
    chunkBytes: CHUNK,
    onProgress: () => {},
    ...options,
  });

/** Name and bytes of every file of a pack but the manifest, which tells where the model came from. */
const weights = (pack: string) =>
  readdirSync(pack)
    .filter((name) => name !== 'manifest.json')
    .sort()
    .map((name) => [name, readFileSync(join(pack, name)).toString('base64')]);
const manifest = (pack: string) => JSON.parse(readFileSync(join(pack, 'manifest.json'), 'utf8'));
const without = ({ name: _, source: __, ...rest }: Record<string, unknown>) => rest;

/** What `pull` must make of a checkpoint, to the byte: what `pack` makes of the same files on disk. */
const expected: Record<string, string> = {};
beforeAll(async () => {
  for (const name of ['qwen3_5-tied', 'qwen3_5-untied', 'llama-tied'] as const) {
    expected[name] = join(folder, `${name}.pack`);
    await packModel(checkpoint(name), expected[name], { quantization: 'q4_0' });
  }
});

const untied = () => folderFiles(checkpoint('qwen3_5-untied'));
const tied = () => folderFiles(checkpoint('qwen3_5-tied'));

describe('the pack is the one that packing the same files gives', () => {
  test.each(['qwen3_5-tied', 'qwen3_5-untied', 'llama-tied'] as const)('%s', async (name) => {
    await serve(folderFiles(checkpoint(name)));
    await pull();
    expect(weights(out)).toEqual(weights(expected[name]!));
    expect(without(manifest(out))).toEqual(without(manifest(expected[name]!)));
    expect(manifest(out)).toMatchObject({ name: 'model', source: 'org/model@aaaaaaaaaaaa' });
    expect(existsSync(`${out}.partial`)).toBe(false);
  });

  test.each(['f32', 'q8_0'] as const)('%s', async (quantization) => {
    await serve(tied());
    await pull({ quantization });
    await packModel(checkpoint('qwen3_5-tied'), `${out}.expected`, { quantization });
    expect(weights(out)).toEqual(weights(`${out}.expected`));
  });

  test('a GGUF, whose rows are in another order', async () => {
    const source = await openSource(checkpoint('qwen3_5-untied'));
    const path = join(folder, 'model-q8_0.gguf');
    await convertToGguf(source, path, 'q8_0');
    await source.close();
    await serve({ 'README.md': new Uint8Array(10), 'gguf/model-q8_0.gguf': { path } });
    await pull({ file: 'gguf/model-q8_0.gguf', quantization: 'q8_0' });
    await packModel(path, `${out}.expected`, { quantization: 'q8_0' });
    expect(weights(out)).toEqual(weights(`${out}.expected`));
    expect(manifest(out)).toMatchObject({ name: 'model', source: 'org/model/gguf/model-q8_0.gguf@aaaaaaaaaaaa' });
  });

  test('with a vision tower and a prediction head in the same file', async () => {
    const files = join(folder, 'multimodal');
    writeCheckpoint(files, CONFIGS.tied, 300_000);
    await serve(folderFiles(files));
    await pull();
    await packModel(files, `${out}.expected`, { quantization: 'q4_0' });
    expect(weights(out)).toEqual(weights(`${out}.expected`));
  });
});

test('only what a pack needs is asked for, and nothing twice', async () => {
  const other = new Uint8Array(100_000);
  const index = JSON.parse(readFileSync(join(checkpoint('qwen3_5-untied'), 'model.safetensors.index.json'), 'utf8'));
  index.weight_map['model.visual.patch_embed.proj.weight'] = 'model-vision.safetensors';
  const changed = new TextEncoder().encode(JSON.stringify(index));
  await serve({
    ...untied(),
    'model.safetensors.index.json': changed,
    'model-vision.safetensors': other,
    'pytorch_model.bin': other,
    'README.md': other,
  });
  await pull();
  const asked = new Set(hub!.seen.filter(({ host }) => host === 'hub').map(({ path }) => path.split('/').at(-1)));
  expect([...asked].sort()).toEqual([
    'config.json',
    'main?blobs=true',
    ...[1, 2, 3, 4].map((i) => `model-0000${i}-of-00004.safetensors`),
    'model.safetensors.index.json',
  ]);
  const large = Object.values(untied()).map((file) => readFileSync((file as { path: string }).path).length);
  expect(hub!.sent).toBeLessThan(large.reduce((a, b) => a + b, 100_000));
});

test('--keep leaves the files themselves, which pack again', async () => {
  await serve(untied());
  await pull({ keep: true });
  for (const [name, file] of Object.entries(untied())) {
    if (name !== 'logits.json')
      expect(readFileSync(join(`${out}.source`, name)).equals(readFileSync((file as { path: string }).path))).toBe(true);
  }
  await packModel(`${out}.source`, `${out}.again`, { quantization: 'q4_0' });
  expect(weights(`${out}.again`)).toEqual(weights(out));
});

const isWeights = ({ path, host }: HubRequest) => host === 'storage' && path.includes('safetensors');

describe('what breaks on the way', () => {
  test('a connection cut at any request, of any host: the pack is the same', async () => {
    await serve(untied());
    await pull();
    const requests = hub!.seen.length;
    for (let i = 1; i <= requests; i++) {
      await serve(untied());
      hub!.faults.push((_, count) => (count === i ? { kind: 'cut', after: i % 2 ? null : 1000 } : null));
      await pull();
      expect([i, weights(out)]).toEqual([i, weights(expected['qwen3_5-untied']!)]);
    }
  });

  test.each([1, 2, 4, 6])('the server goes away for good at range %i: nothing looks finished, and the next run goes on', async (n) => {
    await serve(tied());
    let ranges = 0;
    hub!.faults.push((request) => (isWeights(request) && ++ranges >= n ? { kind: 'status', status: 503 } : null));
    await expect(pull({ connections: 1 })).rejects.toThrow(/^model\.safetensors: the server answered 503/);
    expect(existsSync(out)).toBe(false);
    expect(existsSync(join(`${out}.partial`, 'pack', 'manifest.json'))).toBe(false);
    hub!.faults = [];
    hub!.seen.length = 0;
    let resumed = 0;
    await pull({ onResume: (done) => (resumed = done) });
    const [first] = hub!.seen.filter(isWeights).map(({ range }) => range![0]);
    expect(first).toBeGreaterThanOrEqual(n === 1 ? 0 : 1 << 20);
    // Progress is recorded at every range of 64 kB, after the first megabyte, which is the head.
    expect(resumed > 1 << 20).toBe(n > 2);
    expect(weights(out)).toEqual(weights(expected['qwen3_5-tied']!));
  });

  const DAMAGED: [string, number, string][] = [
    ['the header', 20, 'model.safetensors'],
    ['a weight', 700_001, 'model.safetensors'],
    ['the last byte', 1_522_847, 'model.safetensors'],
    ['config.json', 100, 'config.json'],
  ];
  test.each(DAMAGED)('a wrong byte in %s: refused by name, and right at the next try', async (_, at, name) => {
    await serve(tied());
    const fault: Fault = { kind: 'flip', at };
    hub!.faults.push(({ path }) => (path.includes(name) ? fault : null));
    await expect(pull()).rejects.toThrow(new RegExp(`^${name.replace('.', '\\.')} is (damaged|not a safetensors file)`));
    expect(existsSync(out)).toBe(false);
    hub!.faults = [];
    await pull();
    expect(weights(out)).toEqual(weights(expected['qwen3_5-tied']!));
  });

  test('a new commit starts anew: no file of one is mixed with another', async () => {
    await serve(tied());
    const first = out;
    let ranges = 0;
    hub!.faults.push((request) => (isWeights(request) && ++ranges > 8 ? { kind: 'status', status: 404 } : null));
    await expect(pull()).rejects.toThrow('model.safetensors: the server answered 404');
    await serve(untied(), { commit: 'b'.repeat(40) });
    out = first;
    await pull();
    expect(weights(out)).toEqual(weights(expected['qwen3_5-untied']!));
    expect(manifest(out).source).toBe('org/model@bbbbbbbbbbbb');
  });
});

describe('refusals', () => {
  test('OUT exists', async () => {
    await serve(tied());
    cpSync(expected['qwen3_5-tied']!, out, { recursive: true });
    await expect(pull()).rejects.toThrow(/exists already; remove it or choose another OUT/);
    rmSync(out, { recursive: true });
  });

  test('GGUF files only: they are listed', async () => {
    await serve({ 'b-Q8_0.gguf': new Uint8Array(10), 'a-Q4_0.gguf': new Uint8Array(10) });
    await expect(pull()).rejects.toThrow('org/model holds GGUF files; choose one with --file: a-Q4_0.gguf, b-Q8_0.gguf.');
    await expect(pull({ file: 'c.gguf' })).rejects.toThrow('org/model has no GGUF file c.gguf; it has a-Q4_0.gguf, b-Q8_0.gguf.');
  });

  test('no model at all', async () => {
    await serve({ 'README.md': new Uint8Array(10) });
    await expect(pull()).rejects.toThrow('org/model has no model.safetensors, so it is not a model in Hugging Face layout.');
  });

  test('an unknown architecture, before any weight is fetched', async () => {
    await serve({ ...tied(), 'config.json': new TextEncoder().encode('{"model_type":"gpt2","vocab_size":1}') });
    await expect(pull()).rejects.toThrow(/config\.json|gpt2/);
    expect(hub!.sent).toBeLessThan(1_200_000);
  });

  test('a file that a weight index invents', async () => {
    const weight_map = { 'model.norm.weight': '../../etc/passwd' };
    await serve({ ...tied(), 'model.safetensors.index.json': new TextEncoder().encode(JSON.stringify({ weight_map })) });
    await expect(pull()).rejects.toThrow('The index of org/model names the file ../../etc/passwd, which the repository does not have.');
  });
});

describe('two at a time', () => {
  test('the second is told who is at work, and the first goes on', async () => {
    await serve(tied());
    let stalls = 1;
    hub!.faults.push((request) => (isWeights(request) && stalls-- > 0 ? { kind: 'stall', after: 10 } : null));
    const first = pull({ connections: 1, hub: { endpoint: hub!.endpoint, retry: { firstWaitMs: 1 }, idleMs: 4000 } });
    while (!existsSync(join(`${out}.partial`, 'state.json'))) await new Promise((done) => setTimeout(done, 5));
    await expect(pull()).rejects.toThrow(`Process ${process.pid} is at work on this already; wait for it, or choose another OUT.`);
    await first;
    expect(weights(out)).toEqual(weights(expected['qwen3_5-tied']!));
  });

  test('a lock that a killed process left binds nobody, even when its number belongs to another by now', async () => {
    const path = join(folder, 'left.partial');
    for (const owner of ['4194999', String(process.ppid), 'rubbish']) {
      await (await PartialFolder.open(path, { name: 'x' })).release();
      writeFileSync(join(path, 'lock'), owner);
      const taken = await PartialFolder.open(path, { name: 'x' }, 300);
      expect(readFileSync(join(path, 'lock'), 'utf8')).toBe(String(process.pid));
      await taken.release();
    }
  });
});
