import type { Kernel } from './kernel.ts';
import { MATRIX, PART, structBytes, writeStruct } from './structs.ts';

/** A q4_0 matrix with an odd number of row groups, and what it is multiplied with. */
const ROWS = 40;
const COLUMNS = 96;
const TILE_BYTES = 144;
const TOKENS = [1, 2, 4];
/** Where they lie: after what a kernel keeps for itself. Everything fits into one more page. */
const START = 65536;
export const CHECK_PAGES = 2;

/**
 * The bits of q4_0 products of one, two and four tokens, for a kernel on an empty memory of `CHECK_PAGES`. Whoever changes how the kernel is compiled compares them.
 * @param wide by the wide products
 */
export function productBits(kernel: Kernel, memory: WebAssembly.Memory, wide: boolean): Int32Array {
  let top = START;
  const room = (bytes: number): number => {
    const at = top;
    top += Math.ceil(bytes / 64) * 64;
    return at;
  };
  const [matrix, part, sums] = [room(structBytes(MATRIX)), room(structBytes(PART)), room(256)];
  const data = room((ROWS / 8) * (COLUMNS / 32) * TILE_BYTES);
  const x = room(Math.max(...TOKENS) * COLUMNS * 4);
  fill(memory.buffer, data, x);
  writeStruct(memory.buffer, part, PART, { firstRow: 0, rows: ROWS, data });
  writeStruct(memory.buffer, matrix, MATRIX, { type: 2, rows: ROWS, columns: COLUMNS, partCount: 1, parts: part });
  kernel.setProductScratch(room((COLUMNS / 32) * 288), 0);
  kernel.setWideProducts(wide ? sums : 0);
  const y = room(Math.max(...TOKENS) * ROWS * 4);
  const results = TOKENS.map((tokens) => {
    kernel.input(x, COLUMNS, tokens);
    kernel.product(matrix, y);
    return [...new Int32Array(memory.buffer, y, tokens * ROWS)];
  });
  return Int32Array.from(results.flat());
}

export function sameBits(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i]);
}

/** Numbers without a pattern: nibbles and signs of all kinds, scales near 1. */
function fill(buffer: ArrayBuffer, data: number, x: number): void {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 16;
  };
  const view = new DataView(buffer);
  for (let tile = data; tile < x; tile += TILE_BYTES) {
    for (let i = 0; i < 128; i++) view.setUint8(tile + i, next());
    for (let i = 128; i < TILE_BYTES; i += 2) view.setUint16(tile + i, 0x3800 | (next() & 0x87ff), true);
  }
  for (let i = 0; i < Math.max(...TOKENS) * COLUMNS; i++) view.setFloat32(x + i * 4, (next() - 32768) / 1000, true);
}
