import { expect, test } from 'vitest';
import { HttpError } from '../../../models/hub/http-error.ts';
import { inOrder } from '../../../models/hub/in-order.ts';

const OPTIONS = { chunkBytes: 10, connections: 3 };
const bytes = (start: number, length: number) => Uint8Array.from({ length }, (_, i) => start + i);
const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));

test('chunks come in order however they arrive, and never more than the connections are under way', async () => {
  let [underWay, most] = [0, 0];
  const read = async (start: number, length: number) => {
    most = Math.max(most, ++underWay);
    await wait(start % 20 === 0 ? 6 : 1);
    underWay--;
    return bytes(start, length);
  };
  const seen: number[] = [];
  for await (const chunk of inOrder(read, 5, 78, OPTIONS)) seen.push(...chunk);
  expect(seen).toEqual([...bytes(5, 73)]);
  expect(most).toBe(3);
});

test('a caller that stops early stops what is under way', async () => {
  const aborted: number[] = [];
  const read = (start: number, length: number, signal: AbortSignal) =>
    new Promise<Uint8Array>((done, fail) => {
      if (start === 0) done(bytes(start, length));
      signal.addEventListener('abort', () => {
        aborted.push(start);
        fail(signal.reason);
      });
    });
  for await (const _ of inOrder(read, 0, 1000, OPTIONS)) break;
  expect(aborted).toEqual(expect.arrayContaining([10, 20]));
});

test('a failure is thrown in its turn', async () => {
  const seen: number[] = [];
  const read = async (start: number, length: number) => {
    if (start === 10) throw new Error('broken');
    return bytes(start, length);
  };
  const all = async () => {
    for await (const chunk of inOrder(read, 0, 100, OPTIONS)) seen.push(chunk[0]!);
  };
  await expect(all()).rejects.toThrow('broken');
  expect(seen).toEqual([0]);
});

test('Retry-After is seconds, a date, or nothing', () => {
  const after = (value: string | null) => {
    const headers = new Headers(value === null ? {} : { 'retry-after': value });
    return new HttpError('file', { status: 429, headers }, Date.parse('2026-01-01T00:00:00Z')).retryAfterMs;
  };
  expect([after('7'), after('Thu, 01 Jan 2026 00:01:00 GMT'), after('Wed, 31 Dec 2025 00:00:00 GMT'), after('soon'), after(null)]).toEqual([
    7000,
    60_000,
    0,
    null,
    null,
  ]);
});
