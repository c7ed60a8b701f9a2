import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { dequantizeBytes, type StoredType } from '../../../models/sources/stored-types.ts';

const half = (value: number) => [...new Uint8Array(Float16Array.of(value).buffer)];
const zeros = (count: number) => new Array<number>(count).fill(0);

/** Blocks small enough to work out by hand, one per type. */
const byHand: { type: StoredType; bytes: number[]; expected: Record<number, number>; rest: number }[] = [
  { type: 'F32', bytes: [...new Uint8Array(Float32Array.of(1.5, -2).buffer)], expected: { 0: 1.5, 1: -2 }, rest: 0 },
  { type: 'F16', bytes: [...half(0.5), ...half(-3)], expected: { 0: 0.5, 1: -3 }, rest: 0 },
  { type: 'BF16', bytes: [0x80, 0x3f, 0x40, 0xc0], expected: { 0: 1, 1: -3 }, rest: 0 },
  { type: 'Q8_0', bytes: [...half(0.5), 2, 0xff, ...zeros(30)], expected: { 0: 1, 1: -0.5 }, rest: 0 },
  // Byte 0 holds values 0 and 16; 8 stands for zero.
  { type: 'Q4_0', bytes: [...half(2), 0xf0, ...new Array<number>(15).fill(0x88)], expected: { 0: -16, 16: 14 }, rest: 0 },
  { type: 'Q4_1', bytes: [...half(2), ...half(1), 0x03, 0xf0, ...zeros(14)], expected: { 0: 7, 17: 31 }, rest: 1 },
  // Scale 1 for sub-block 0 and 33 (from its two upper bits) for sub-block 4; minimum 2 for sub-block 1.
  {
    type: 'Q4_K',
    bytes: [...half(1), ...half(1), 0x81, 0, 0, 0, 0, 0x02, 0, 0, 0x01, 0, 0, 0, 5, ...zeros(63), 7, ...zeros(63)],
    expected: { 0: 5, 128: 7 * 33, ...Object.fromEntries(Array.from({ length: 32 }, (_, i) => [32 + i, -2])) },
    rest: 0,
  },
  // The fifth bit of value 0 of sub-block 0 adds 16.
  {
    type: 'Q5_K',
    bytes: [...half(1), ...half(1), 1, ...zeros(11), 1, ...zeros(31), 3, ...zeros(127)],
    expected: { 0: 19 },
    rest: 0,
  },
  // Low nibble 1 with the bit pair 2 above it is 33, that is 1; every other quant is 0, that is -32, and only scale 0 is not 0.
  {
    type: 'Q6_K',
    bytes: [1, ...zeros(127), 2, ...zeros(63), 1, ...zeros(15), ...half(2)],
    expected: { 0: 2, ...Object.fromEntries(Array.from({ length: 15 }, (_, i) => [1 + i, -64])) },
    rest: 0,
  },
];

describe('dequantizing blocks worked out by hand', () => {
  test.each(byHand)('$type', ({ type, bytes, expected, rest }) => {
    const values = dequantizeBytes(type, Uint8Array.from(bytes));
    values.forEach((value, i) => {
      expect(value + 0, `value ${i}`).toBe(expected[i] ?? rest);
    });
  });
});

interface Recorded {
  dequantized: Record<string, { hex: string; values: number[] }>;
}
const recorded = JSON.parse(readFileSync(new URL('../../fixtures/gguf-blocks.json', import.meta.url), 'utf8')) as Recorded;

describe("dequantizing random blocks as Python's gguf package does", () => {
  test.each(Object.entries(recorded.dequantized))('%s', (type, { hex, values }) => {
    const ours = dequantizeBytes(type as StoredType, Uint8Array.from(Buffer.from(hex, 'hex')));
    expect(ours.length).toBe(values.length);
    // Python rounds after every operation, we once: the last bit may differ.
    const largest = Math.max(...values.map(Math.abs));
    for (const [i, value] of values.entries()) expect(Math.abs(ours[i]! - value)).toBeLessThanOrEqual(largest * 2 ** -22);
  });
});
