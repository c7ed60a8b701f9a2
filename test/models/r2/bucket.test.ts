import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { packModel } from '../../../models/pack/pack-model.ts';
import type { Bucket } from '../../../models/r2/bucket.ts';
import { openLocalBucket } from '../../../models/r2/local-bucket.ts';
import { listPacks, removePack } from '../../../models/r2/packs.ts';
import { pushPack } from '../../../models/r2/push-pack.ts';
import { openS3Bucket } from '../../../models/r2/s3-bucket.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { type S3Server, startS3 } from '../../support/s3-server.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();
const pack = join(folder, 'pack');
const QUICK = { tries: 3, firstWaitMs: 1, maxWaitMs: 2 };
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
let s3: S3Server;
const buckets: Record<string, Bucket> = {};
const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
const remote = (options = {}) => openS3Bucket({ endpoint: s3.endpoint, bucket: 'models', ...credentials, retry: QUICK, ...options });

beforeAll(async () => {
  await packModel(checkpoint('qwen3_5-tied'), pack, { quantization: 'q4_0', name: 'tiny model' });
  s3 = await startS3('models', 'key');
  buckets.local = await openLocalBucket('models', join(folder, 'state'));
  buckets.s3 = remote();
});
afterAll(async () => {
  for (const bucket of Object.values(buckets)) await bucket.close();
  await s3.close();
});
beforeEach(async () => {
  s3.fault = () => null;
  s3.seen.length = 0;
  for (const bucket of Object.values(buckets)) await bucket.delete((await bucket.list('')).map(({ key }) => key));
});

const push = (bucket: Bucket, prefix?: string, from = pack) => pushPack(from, bucket, { prefix, connections: 2 });
const files = () => readdirSync(pack).sort();

describe.each(['local', 's3'])('a bucket, %s', (name) => {
  test('holds a pushed pack, byte for byte; pushing it again sends nothing', async () => {
    const bucket = buckets[name]!;
    const { prefix, sent } = await push(bucket);
    expect(prefix).toBe(`tiny-model-q4_0-${sha256(readFileSync(join(pack, 'manifest.json'))).slice(0, 8)}`);
    for (const file of files()) {
      const stored = await bucket.get(`${prefix}/${file}`);
      expect([file, stored && Buffer.compare(stored, readFileSync(join(pack, file)))]).toEqual([file, 0]);
    }
    expect(sent).toBe(
      files().reduce((sum, file) => sum + readFileSync(join(pack, file)).length, -readFileSync(join(pack, 'manifest.json')).length),
    );
    expect((await push(bucket)).sent).toBe(0);
  });

  test('that a push left half full is completed: only what is missing or different is sent', async () => {
    const bucket = buckets[name]!;
    const { prefix } = await push(bucket);
    const layer = readFileSync(join(pack, 'layer-01.bin'));
    const other = layer.map((byte) => byte ^ 1);
    await bucket.delete([`${prefix}/manifest.json`, `${prefix}/final.bin`]);
    await bucket.put(`${prefix}/layer-01.bin`, other, sha256(other));
    expect((await push(bucket)).sent).toBe(layer.length + readFileSync(join(pack, 'final.bin')).length);
    expect(Buffer.compare((await bucket.get(`${prefix}/layer-01.bin`))!, layer)).toBe(0);
  });

  test('that has lost a file of a finished pack gets it back', async () => {
    const bucket = buckets[name]!;
    await push(bucket, 'p');
    await bucket.delete(['p/final.bin']);
    expect(await listPacks(bucket)).toMatchObject([{ prefix: 'p', problem: 'final.bin is missing or has another size; push it again' }]);
    expect((await push(bucket, 'p')).sent).toBe(readFileSync(join(pack, 'final.bin')).length);
    expect(await listPacks(bucket)).toMatchObject([{ prefix: 'p', problem: null }]);
  });

  test('refuses content that arrives damaged', async () => {
    await expect(buckets[name]!.put('x', new Uint8Array(10), sha256(new Uint8Array(11)))).rejects.toThrow();
    expect(await buckets[name]!.get('x')).toBe(null);
  });

  test('lists finished and unfinished packs and leaves other objects alone, also when removing', async () => {
    const bucket = buckets[name]!;
    await push(bucket, 'a/one');
    await push(bucket, 'a/one/more');
    await bucket.put('a/half/layer-00.bin', new Uint8Array(5), sha256(new Uint8Array(5)));
    await bucket.put('a/one/notes.txt', new Uint8Array(5), sha256(new Uint8Array(5)));
    expect((await listPacks(bucket)).map(({ prefix, manifest, problem }) => [prefix, manifest?.name, problem])).toEqual([
      ['a/half', undefined, 'not finished: it has no manifest'],
      ['a/one', 'tiny model', null],
      ['a/one/more', 'tiny model', null],
    ]);
    expect((await removePack(bucket, 'a/one')).files).toBe(files().length);
    await removePack(bucket, 'a/half');
    expect((await listPacks(bucket)).map(({ prefix }) => prefix)).toEqual(['a/one/more']);
    expect((await bucket.list('a/one/notes')).length).toBe(1);
    await expect(removePack(bucket, 'a/one')).rejects.toThrow(
      `There is no pack at a/one in models (${name === 'local' ? 'local' : 'remote'})`,
    );
  });

  test('never lets one pack overwrite another', async () => {
    const bucket = buckets[name]!;
    await push(bucket, 'p');
    const other = join(folder, `other-${name}`);
    await packModel(checkpoint('qwen3_5-tied'), other, { quantization: 'q8_0' });
    await expect(push(bucket, 'p', other)).rejects.toThrow(/holds another pack at p; choose another --prefix/);
    expect((await push(bucket, 'p')).sent).toBe(0);
  });
});

describe('a push', () => {
  test('of a damaged pack stops at the file, and leaves no manifest', async () => {
    const damaged = join(folder, 'damaged');
    cpSync(pack, damaged, { recursive: true });
    const bytes = readFileSync(join(damaged, 'layer-02.bin'));
    bytes[100]! ^= 1;
    writeFileSync(join(damaged, 'layer-02.bin'), bytes);
    await expect(push(buckets.s3!, 'p', damaged)).rejects.toThrow('layer-02.bin is damaged: its SHA-256 does not match the manifest.');
    rmSync(join(damaged, 'layer-02.bin'));
    await expect(push(buckets.s3!, 'p', damaged)).rejects.toThrow('layer-02.bin is missing from the pack.');
    expect(s3.objects.has('p/manifest.json')).toBe(false);
  });

  test.each(['../p', '/p', 'p/', 'a//b', 'a b', '.'])('to the prefix "%s" is refused', (prefix) =>
    expect(push(buckets.s3!, prefix)).rejects.toThrow(`"${prefix}" cannot be a prefix`),
  );

  test('puts the manifest last, whatever breaks: with any one request lost or unanswered it ends with the same objects', async () => {
    await push(buckets.s3!, 'p');
    const requests = s3.seen.length;
    expect(s3.seen.at(-1)).toBe('PUT p/manifest.json');
    const whole = [...s3.objects.keys()].sort();
    for (let i = 1; i <= requests; i++) {
      for (const fault of ['cut_before', 'cut_after', { status: 503 }] as const) {
        s3.objects.clear();
        s3.seen.length = 0;
        s3.fault = (_, count) => (count === i ? fault : null);
        await push(buckets.s3!, 'p');
        expect([i, fault, [...s3.objects.keys()].sort()]).toEqual([i, fault, whole]);
      }
    }
  });

  test('that fails at any write leaves no manifest, and the next one goes on', async () => {
    for (const file of files().filter((name) => name.endsWith('.bin'))) {
      s3.objects.clear();
      s3.fault = (request) => (request === `PUT p/${file}` ? { status: 500 } : null);
      await expect(push(buckets.s3!, 'p')).rejects.toThrow(`p/${file}: the server answered 500. That was try 3`);
      expect(s3.objects.has('p/manifest.json')).toBe(false);
      s3.fault = () => null;
      await push(buckets.s3!, 'p');
      expect(s3.objects.size).toBe(files().length);
    }
  });
});

describe('content of more than 16 MiB', () => {
  const content = Uint8Array.from({ length: (20 << 20) + 12345 }, (_, i) => (i * 7) & 255);
  const put = () => buckets.s3!.put('p/large.bin', content, sha256(content));
  const isWhole = () => Buffer.compare(s3.objects.get('p/large.bin')!.content, content) === 0;

  test('goes up in parts, each again where it broke', async () => {
    const broken = new Set<string>();
    s3.fault = (request) => {
      if (!request.includes('partNumber') || broken.has(request)) return null;
      broken.add(request);
      return broken.size === 2 ? 'cut_after' : { status: 503 };
    };
    await put();
    expect(broken.size).toBe(3);
    expect(isWhole()).toBe(true);
    expect(await buckets.s3!.head('p/large.bin')).toEqual({ bytes: content.length, sha256: sha256(content) });
  });

  test('leaves nothing behind when it fails', async () => {
    s3.fault = (request) => (request.includes('partNumber=2') ? { status: 400, code: 'BadDigest' } : null);
    await expect(put()).rejects.toThrow('p/large.bin: R2 answered 400 (BadDigest).');
    expect([s3.objects.size, s3.uploads.size]).toEqual([0, 0]);
  });

  test('that a killed push left half way is cleaned up by the next', async () => {
    s3.uploads.set('old', { key: 'p/layer-00.bin', sha256: null, parts: new Map() });
    s3.uploads.set('foreign', { key: 'q/layer-00.bin', sha256: null, parts: new Map() });
    await push(buckets.s3!, 'p');
    expect([...s3.uploads.keys()]).toEqual(['foreign']);
    s3.uploads.clear();
  });
});

describe('refusals of the service say what to check', () => {
  test('wrong keys', () =>
    expect(push(remote({ accessKeyId: 'other' }), 'p')).rejects.toThrow(
      /p\/manifest\.json: R2 answered 403 \(InvalidAccessKeyId\); check R2_ACCESS_KEY_ID/,
    ));
  test('no such bucket', () =>
    expect(push(remote({ bucket: 'nothing' }), 'p')).rejects.toThrow(
      'There is no bucket nothing; create it with: npx wrangler r2 bucket create nothing',
    ));
  test('nobody there', () =>
    expect(push(remote({ endpoint: 'http://127.0.0.1:9' }), 'p')).rejects.toThrow(/127\.0\.0\.1:9 cannot be reached/));
  test('damage on the way', () => {
    s3.fault = (request) => (request === 'PUT p/final.bin' ? 'damage' : null);
    return expect(push(buckets.s3!, 'p')).rejects.toThrow('p/final.bin: R2 answered 400 (XAmzContentSHA256Mismatch).');
  });
});
