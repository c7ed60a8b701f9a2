import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openRepository } from '../../../models/hub/hub.ts';
import { type Fault, type HubRequest, type HubServer, startHub } from '../../support/hub-server.ts';

const CONTENT = Uint8Array.from({ length: 1_500_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
/** Comparing a million numbers one by one takes a matcher a second. */
const isContent = (bytes: Uint8Array): boolean => Buffer.compare(bytes, CONTENT) === 0;
const TOKEN = 'hf_secret';
let hub: HubServer;
beforeAll(async () => {
  hub = await startHub({ name: 'org/model', files: { 'model.bin': CONTENT, 'config.json': new TextEncoder().encode('{}') }, token: TOKEN });
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.seen.length = 0;
  hub.faults = [];
});

const QUICK = { tries: 3, firstWaitMs: 1, maxWaitMs: 2 };
const repository = (retry = {}) =>
  openRepository('org/model', 'main', { endpoint: hub.endpoint, token: TOKEN, retry: { ...QUICK, ...retry }, idleMs: 1500 });
const open = async (retry = {}) => (await repository(retry)).open('model.bin');

const forFiles = (request: HubRequest) => !request.path.startsWith('/api/');
/** The fault happens at the first `times` requests to storage. */
function inStorage(fault: Fault, times = 1): void {
  let left = times;
  hub.faults.push((request) => (request.host === 'storage' && left-- > 0 ? fault : null));
}

test('a range has exactly its bytes, the token goes to the hub alone, and the hub is asked once for several ranges', async () => {
  const file = await open();
  expect(await file.read(1000, 5000)).toEqual(CONTENT.slice(1000, 6000));
  expect(isContent(await file.read(0, CONTENT.length))).toBe(true);
  expect(hub.seen.filter(forFiles).map(({ host, authorization }) => [host, authorization])).toEqual([
    ['hub', `Bearer ${TOKEN}`],
    ['storage', null],
    ['storage', null],
  ]);
});

const PASSING: [string, Fault][] = [
  ['no answer at all', { kind: 'cut', after: null }],
  ['cut before the first byte', { kind: 'cut', after: 0 }],
  ['cut after some bytes', { kind: 'cut', after: 70_000 }],
  ['cut one byte before the end', { kind: 'cut', after: CONTENT.length - 1 }],
  ['silence in the middle', { kind: 'stall', after: 40_000 }],
  ['a Content-Length that is too long', { kind: 'lie', by: 100 }],
  ['a Content-Length that is too short', { kind: 'lie', by: -100 }],
  ['rate limited', { kind: 'status', status: 429, headers: { 'retry-after': '0' } }],
  ['overloaded', { kind: 'status', status: 503 }],
  ['a bad gateway', { kind: 'status', status: 502 }],
];

test.each(PASSING)('%s, twice: the file arrives whole all the same', async (_, fault) => {
  inStorage(fault, 2);
  // One more than the faults need: a kept connection that the server closes in the moment of its use is a failure, too.
  expect(isContent(await (await open({ tries: 4 })).read(0, CONTENT.length))).toBe(true);
});

test('what arrived before a cut is not asked for again', async () => {
  inStorage({ kind: 'cut', after: 70_000 });
  await (await open()).read(0, CONTENT.length);
  const ranges = hub.seen.filter(({ host }) => host === 'storage').map(({ range }) => range);
  expect(ranges).toEqual([
    [0, CONTENT.length - 1],
    [70_000, CONTENT.length - 1],
  ]);
});

test('a download that keeps moving may be cut more often than there are tries', async () => {
  inStorage({ kind: 'cut', after: 300_000 }, 4);
  expect(isContent(await (await open()).read(0, CONTENT.length))).toBe(true);
});

test('an address that expired is asked for anew', async () => {
  const file = await open();
  await file.read(0, 10);
  inStorage({ kind: 'status', status: 403 });
  expect(await file.read(10, 10)).toEqual(CONTENT.slice(10, 20));
});

test('a server that asks for time is given it', async () => {
  const waits: number[] = [];
  const file = await open({ onRetry: (_: string, wait: number) => waits.push(wait) });
  inStorage({ kind: 'status', status: 429, headers: { 'retry-after': '1' } });
  await file.read(0, 10);
  expect(waits).toEqual([1000]);
});

describe('what no waiting mends ends with a sentence that names the file', () => {
  const FINAL: [string, Fault, RegExp][] = [
    ['always down', { kind: 'status', status: 500 }, /^model\.bin: the server answered 500\. That was try 3; run the same command again/],
    ['always cut', { kind: 'cut', after: 0 }, /^model\.bin: .*That was try 3/],
    [
      'asked to wait an hour',
      { kind: 'status', status: 429, headers: { 'retry-after': '3600' } },
      /^model\.bin: .* asks to wait 60 minutes/,
    ],
    ['another size', { kind: 'size', size: 12 }, /^model\.bin has 12 bytes on the server, and 1500000 are published/],
    ['no ranges', { kind: 'no_ranges' }, /^model\.bin: the server does not send parts of files/],
  ];
  test.each(FINAL)('%s', async (_, fault, message) => {
    const file = await open();
    inStorage(fault, 1000);
    await expect(file.read(500, 1000)).rejects.toThrow(message);
  });

  test('the hub describes another size', async () => {
    hub.faults.push((request) => (forFiles(request) ? { kind: 'size', size: 13 } : null));
    await expect((await open()).read(0, 10)).rejects.toThrow('model.bin has 13 bytes on the server, and 1500000 are published.');
  });
});

test('aborting ends a read at once, and with the reason', async () => {
  inStorage({ kind: 'stall', after: 10 }, 1000);
  const stop = new AbortController();
  const read = (await open()).read(0, 1000, undefined, stop.signal);
  setTimeout(() => stop.abort(new Error('enough')), 20);
  await expect(read).rejects.toThrow('enough');
});
