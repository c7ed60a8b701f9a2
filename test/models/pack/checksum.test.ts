import { expect, test } from 'vitest';
import { checksum } from '../../../models/pack/checksum.ts';

/** The definition, word by word in big integers. */
function slowChecksum(bytes: Uint8Array): number {
  const prime = 0x01000193n;
  const mask = 0xffffffffn;
  const step = (hash: bigint, word: bigint) => ((hash ^ word) * prime) & mask;
  const padded = [...bytes, ...new Array<number>((64 - (bytes.length % 64)) % 64).fill(0)];
  const lanes = new Array<bigint>(16).fill(0x811c9dc5n);
  for (let i = 0; i < padded.length / 4; i++) {
    const word = padded.slice(4 * i, 4 * i + 4).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    lanes[i % 16] = step(lanes[i % 16]!, word);
  }
  return Number(step(lanes.reduce(step, 0x811c9dc5n), BigInt(bytes.length)));
}

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 73 + 41) & 255);

test.each([0, 1, 63, 64, 65, 127, 1000])('is what its definition says for %d bytes', (length) => {
  expect(checksum(pattern(length))).toBe(slowChecksum(pattern(length)));
});

test('does not depend on where in a buffer the bytes lie', () => {
  expect(checksum(pattern(1003).subarray(3))).toBe(checksum(pattern(1003).slice(3)));
});

test('tells a changed byte, two words exchanged, and zeros at the end', () => {
  const bytes = pattern(256);
  const original = checksum(bytes);
  expect(checksum(bytes.with(77, bytes[77]! ^ 1))).not.toBe(original);
  const exchanged = bytes.slice();
  exchanged.set(bytes.subarray(0, 4), 64);
  exchanged.set(bytes.subarray(64, 68), 0);
  expect(checksum(exchanged)).not.toBe(original);
  expect(checksum(new Uint8Array(10))).not.toBe(checksum(new Uint8Array(11)));
});
