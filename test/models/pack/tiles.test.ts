import { describe, expect, test } from 'vitest';
import { matrixBytes } from '../../../models/pack/manifest.ts';
import { tileBlocks, tileFloats, untileBlocks, untileFloats } from '../../../models/pack/tiles.ts';

/** Distinct bytes for every place. */
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 151 + (i >> 8) * 7) & 255);

describe.each([
  { type: 'q4_0' as const, blockBytes: 18 },
  { type: 'q8_0' as const, blockBytes: 34 },
])('$type tiles', ({ type, blockBytes }) => {
  test.each([
    [8, 32],
    [16, 96],
    [5, 64],
    [33, 32],
  ])('%d x %d comes back from its tiles unchanged', (rows, columns) => {
    const blocks = pattern(rows * (columns / 32) * blockBytes);
    const tiles = tileBlocks(type, blocks, rows, columns);
    expect(tiles.length).toBe(matrixBytes(type, rows, columns));
    expect(untileBlocks(type, tiles, rows, columns)).toEqual(blocks);
  });
});

test('q4_0: vector g holds rows r and r + 4 at k = 4g + j, and scales stand in the order r0 r4 r1 r5', () => {
  const blocks = new Uint8Array(8 * 18);
  for (let row = 0; row < 8; row++) {
    blocks[row * 18] = row + 1;
    for (let i = 0; i < 16; i++) blocks[row * 18 + 2 + i] = (row & 15) | (((15 - row) & 15) << 4);
  }
  const tiles = tileBlocks('q4_0', blocks, 8, 32);
  // k < 16 comes from low nibbles (the row), k >= 16 from high ones (15 - row).
  expect([...tiles.subarray(0, 16)]).toEqual([0, 1, 2, 3].flatMap((row) => new Array(4).fill(row | ((row + 4) << 4))));
  expect([...tiles.subarray(64, 80)]).toEqual([0, 1, 2, 3].flatMap((row) => new Array(4).fill((15 - row) | ((11 - row) << 4))));
  expect([...tiles.subarray(128)].filter((_, i) => i % 2 === 0)).toEqual([1, 5, 2, 6, 3, 7, 4, 8]);
});

test('q8_0: byte 2r + j of vector g is row r at k = 2g + j', () => {
  const blocks = new Uint8Array(8 * 34);
  for (let row = 0; row < 8; row++) for (let k = 0; k < 32; k++) blocks[row * 34 + 2 + k] = row * 32 + k;
  const tiles = tileBlocks('q8_0', blocks, 8, 32);
  expect([...tiles.subarray(16, 22)]).toEqual([2, 3, 34, 35, 66, 67]);
});

test('f32: eight rows side by side for each column, missing rows zero', () => {
  const values = Float32Array.from({ length: 3 * 5 }, (_, i) => i + 1);
  const tiles = tileFloats(values, 3, 5);
  expect([...tiles.subarray(0, 9)]).toEqual([1, 6, 11, 0, 0, 0, 0, 0, 2]);
  expect(untileFloats(tiles, 3, 5)).toEqual(values);
});

test('rows that pad a group have the scale zero', () => {
  const tiles = tileBlocks('q4_0', pattern(18), 1, 32);
  expect([...tiles.subarray(130, 144)].every((byte) => byte === 0)).toBe(true);
});
