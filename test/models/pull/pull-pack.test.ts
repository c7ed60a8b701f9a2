import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { packModel } from '../../../models/pack/pack-model.ts';
import { explainFullDisk, requireSpace } from '../../../models/pull/disk-space.ts';
import { pullPack } from '../../../models/pull/pull-pack.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { folderFiles, type HubServer, startHub } from '../../support/hub-server.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();
const pack = join(folder, 'pack');
let server: HubServer | undefined;
let out = '';
let runs = 0;

beforeAll(async () => {
  await packModel(checkpoint('qwen3_5-tied'), pack, { quantization: 'q8_0' });
});
afterEach(() => server?.close());

async function serve(): Promise<HubServer> {
  server = await startHub({ name: 'org/pack', files: folderFiles(pack) });
  out = join(folder, `out-${++runs}`);
  return server;
}
const pull = (base = server!.storage) =>
  pullPack(base, out, { connections: 2, retry: { tries: 2, firstWaitMs: 1, maxWaitMs: 2 }, onProgress: () => {} });

const files = (path: string) =>
  readdirSync(path)
    .sort()
    .map((name) => [name, readFileSync(join(path, name)).toString('base64')]);

describe('a finished pack from a web server', () => {
  test('is the same, manifest included; the address may end in a slash or name the manifest', async () => {
    for (const end of ['', '/', '/manifest.json']) {
      await serve();
      await pull(`${server!.storage}${end}`);
      expect(files(out)).toEqual(files(pack));
      await server!.close();
    }
  });

  test('that breaks off goes on with the files that are missing', async () => {
    await serve();
    server!.faults.push(({ path }) => (path.includes('layer-03') ? { kind: 'status', status: 404 } : null));
    await expect(pull()).rejects.toThrow('layer-03.bin: the server answered 404.');
    expect(existsSync(out)).toBe(false);
    const here = readdirSync(join(`${out}.partial`, 'pack')).length;
    server!.faults = [];
    server!.seen.length = 0;
    await pull();
    expect(server!.seen).toHaveLength(1 + readdirSync(pack).length - 1 - here);
    expect(files(out)).toEqual(files(pack));
  });

  test('with a connection cut in the middle of a file gets the rest of it', async () => {
    await serve();
    server!.faults.push(({ path, range }) => (path.includes('layer-') && range?.[0] === 0 ? { kind: 'cut', after: 1000 } : null));
    await pull();
    expect(files(out)).toEqual(files(pack));
  });

  test('with a wrong byte is refused by file', async () => {
    await serve();
    server!.faults.push(({ path }) => (path.includes('layer-02') ? { kind: 'flip', at: 77 } : null));
    await expect(pull()).rejects.toThrow('layer-02.bin is damaged on the server: its SHA-256 does not match the manifest.');
    expect(existsSync(out)).toBe(false);
  });

  test('that is none, or elsewhere', async () => {
    await serve();
    await expect(pull(`${server!.storage}/nothing`)).rejects.toThrow(/nothing\/manifest\.json: the server answered 404/);
    server!.faults.push(() => ({ kind: 'flip', at: 1 }));
    await expect(pull()).rejects.toThrow('manifest.json is not valid JSON.');
  });

  test('whose manifest does not end, or does not come, is given up', async () => {
    await serve();
    const chunk = new Uint8Array(1 << 22);
    let sent = 0;
    const pull = (controller: ReadableStreamDefaultController) => {
      sent++;
      controller.enqueue(chunk);
    };
    const endless = async () => new Response(new ReadableStream({ pull }));
    const options = { connections: 1, retry: { tries: 1 }, onProgress: () => {}, idleMs: 1000 };
    await expect(pullPack('https://example.com/pack', out, { ...options, fetch: endless })).rejects.toThrow(
      'https://example.com/pack/manifest.json: the server sends more than 67108864 bytes',
    );
    expect(sent).toBeLessThan(25);
    server!.faults.push(() => ({ kind: 'stall', after: 10 }));
    await expect(pullPack(server!.storage, out, options)).rejects.toThrow(/manifest\.json: nothing came for 1 seconds/);
  });

  test.each(['http://example.com/pack', 'ftp://example.com/pack', 'example'])(
    'from %s is refused: anyone on the way could change it',
    (address) =>
      expect(pullPack(address, join(folder, 'never'), { connections: 1, onProgress: () => {} })).rejects.toThrow(
        `A pack is pulled from an https:// address, and "${address}" is not one.`,
      ),
  );
});

test('a disk that is too small is noticed before anything is fetched', async () => {
  const statfs = (async () => ({ bavail: 1000, bsize: 4096 })) as unknown as Parameters<typeof requireSpace>[2];
  await requireSpace('/data', 4_096_000, statfs);
  await expect(requireSpace('/data', 5_000_000_000, statfs)).rejects.toThrow(
    '5.00 GB are needed in /data, and 0.00 GB are free; make room or choose another OUT.',
  );
});

test('a disk that fills up meanwhile is told in one sentence, and other errors stay what they are', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  expect(explainFullDisk(full)).toMatchObject({
    name: 'ModelError',
    message: expect.stringMatching(/^The disk is full; make room/),
    cause: full,
  });
  const other = new Error('other');
  expect([explainFullDisk(other), explainFullDisk(null)]).toEqual([other, null]);
});
