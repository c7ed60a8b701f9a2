import { matrixBytes } from './manifest.ts';

/*
 * The kernels' tile order (the manifest's docstring describes it) from and to ggml's blocks or row-major floats. Every function takes whole rows of one
 * part; rows beyond the last, up to a multiple of 8, are zeros.
 */

/** Row held by each of a tile's eight scales. */
const SCALE_ROWS = [0, 4, 1, 5, 2, 6, 3, 7];
/** Bytes of ggml's own block of 32. */
const BLOCK_BYTES = { q4_0: 18, q8_0: 34 } as const;
const TILE_BYTES = { q4_0: 144, q8_0: 272 } as const;
/** A pair of q4_0 nibbles that stands for zero. */
const ZERO_NIBBLE = 8;

/** ggml blocks of [rows, columns] -> tiles. */
export function tileBlocks(type: 'q4_0' | 'q8_0', blocks: Uint8Array, rows: number, columns: number): Uint8Array {
  const tiles = new Uint8Array(matrixBytes(type, rows, columns));
  const perRow = columns / 32;
  const tile = type === 'q4_0' ? tileQ4 : tileQ8;
  // A row of zeros stands in for the rows that pad the last group.
  const padding = new Uint8Array(BLOCK_BYTES[type]).fill(type === 'q4_0' ? ZERO_NIBBLE * 17 : 0, 2);
  for (let row = 0, to = 0; row < rows; row += 8) {
    for (let block = 0; block < perRow; block++, to += TILE_BYTES[type]) {
      for (let r = 0; r < 8; r++) {
        if (row + r < rows) tile(blocks, ((row + r) * perRow + block) * BLOCK_BYTES[type], tiles, to, r);
        else tile(padding, 0, tiles, to, r);
      }
    }
  }
  return tiles;
}

/** Tiles -> ggml blocks of [rows, columns]. */
export function untileBlocks(type: 'q4_0' | 'q8_0', tiles: Uint8Array, rows: number, columns: number): Uint8Array {
  const perRow = columns / 32;
  const blocks = new Uint8Array(rows * perRow * BLOCK_BYTES[type]);
  const untile = type === 'q4_0' ? untileQ4 : untileQ8;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < perRow; block++) {
      const from = ((row >> 3) * perRow + block) * TILE_BYTES[type];
      untile(tiles, from, row & 7, blocks, (row * perRow + block) * BLOCK_BYTES[type]);
    }
  }
  return blocks;
}

/** Copies one row's block into its tile at `to`: byte 4r+j of vector g holds k = 4g+j, low nibble row r, high nibble row r+4. */
function tileQ4(blocks: Uint8Array, from: number, tiles: Uint8Array, to: number, row: number): void {
  const shift = row < 4 ? 0 : 4;
  for (let k = 0; k < 32; k++) {
    const nibble = (blocks[from + 2 + (k & 15)]! >> (k < 16 ? 0 : 4)) & 15;
    const at = to + (k >> 2) * 16 + (row & 3) * 4 + (k & 3);
    tiles[at] = tiles[at]! | (nibble << shift);
  }
  copyScale(blocks, from, tiles, to + 128 + SCALE_ROWS.indexOf(row) * 2);
}

function untileQ4(tiles: Uint8Array, from: number, row: number, blocks: Uint8Array, to: number): void {
  const shift = row < 4 ? 0 : 4;
  for (let k = 0; k < 32; k++) {
    const nibble = (tiles[from + (k >> 2) * 16 + (row & 3) * 4 + (k & 3)]! >> shift) & 15;
    const at = to + 2 + (k & 15);
    blocks[at] = blocks[at]! | (nibble << (k < 16 ? 0 : 4));
  }
  copyScale(tiles, from + 128 + SCALE_ROWS.indexOf(row) * 2, blocks, to);
}

/** Byte 2r+j of vector g holds row r at k = 2g+j. */
function tileQ8(blocks: Uint8Array, from: number, tiles: Uint8Array, to: number, row: number): void {
  for (let k = 0; k < 32; k++) tiles[to + (k >> 1) * 16 + row * 2 + (k & 1)] = blocks[from + 2 + k]!;
  copyScale(blocks, from, tiles, to + 256 + SCALE_ROWS.indexOf(row) * 2);
}

function untileQ8(tiles: Uint8Array, from: number, row: number, blocks: Uint8Array, to: number): void {
  for (let k = 0; k < 32; k++) blocks[to + 2 + k] = tiles[from + (k >> 1) * 16 + row * 2 + (k & 1)]!;
  copyScale(tiles, from + 256 + SCALE_ROWS.indexOf(row) * 2, blocks, to);
}

function copyScale(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number): void {
  to[toAt] = from[fromAt]!;
  to[toAt + 1] = from[fromAt + 1]!;
}

/** Row-major floats of [rows, columns] -> f32 tiles: for each group of 8 rows, for each column, the eight rows' values. */
export function tileFloats(values: Float32Array, rows: number, columns: number): Float32Array {
  const tiles = new Float32Array(matrixBytes('f32', rows, columns) / 4);
  for (let row = 0; row < rows; row++) {
    const group = (row >> 3) * 8 * columns + (row & 7);
    for (let k = 0; k < columns; k++) tiles[group + k * 8] = values[row * columns + k]!;
  }
  return tiles;
}

/** f32 tiles -> row-major floats of [rows, columns]. */
export function untileFloats(tiles: Float32Array, rows: number, columns: number): Float32Array {
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const group = (row >> 3) * 8 * columns + (row & 7);
    for (let k = 0; k < columns; k++) values[row * columns + k] = tiles[group + k * 8]!;
  }
  return values;
}
