/**
 * y = W x for one or several tokens, whatever the weight type. `input` names the activations, `product` multiplies them with a matrix; they are rounded to
 * integers when the first matrix wants that, and only once for all that share them.
 */
import { F32, Matrix, Part, Q4_0 } from './model';
import { gemmF32, gemvF32 } from './product-f32';
import { multiplyPairs } from './product-pairs';
import { gemvQ4Plain, unpackQ4 } from './product-q4-plain';
import { gemmQ4Relaxed, gemvQ4Relaxed } from './product-q4-relaxed';
import { gemvQ8, unpackQ8 } from './product-q8';
import { BYTES, BYTES_BLOCK, NIBBLE_PAIRS, PAIRS, PAIRS_BLOCK, quantizeRow } from './quantize';
import { PAIRS_TILE, Q4_TILE, Q8_TILE } from './tile';

const NONE = -1;

/** Scratch: rounded activations of a micro-batch, and one unpacked row group. */
let blocksAt: usize = 0;
let tilesAt: usize = 0;

/** The current activations: `tokens` lines of `columns` floats, and which format of them lies at `blocksAt`. */
let x: usize = 0;
let columns: i32 = 0;
let tokens: i32 = 0;
let rounded: i32 = NONE;

/**
 * Sets the scratch of products: 72 bytes for each 32 columns of each row of a micro-batch (a multiple of 4 rows), and 544 bytes for each 32 columns.
 */
export function setProductScratch(blocks: usize, tiles: usize): void {
  blocksAt = blocks;
  tilesAt = tiles;
}

/** Names the activations of the products that follow: `rows` lines of `width` floats. Lines up to the next multiple of 4 are read (and ignored). */
export function input(at: usize, width: i32, rows: i32): void {
  x = at;
  columns = width;
  tokens = rows;
  rounded = NONE;
}

function formatOf(type: i32): i32 {
  if (type != Q4_0) return PAIRS;
  return ASC_FEATURE_RELAXED_SIMD ? BYTES : NIBBLE_PAIRS;
}

/** Bytes of one token's rounded activations. */
function lineBytes(format: i32): usize {
  return <usize>(columns >> 5) * (format == BYTES ? BYTES_BLOCK : PAIRS_BLOCK);
}

function round(format: i32): void {
  const line = lineBytes(format);
  for (let i: usize = 0; i < <usize>tokens; i++) quantizeRow(x + i * (<usize>columns << 2), blocksAt + i * line, columns, format);
  rounded = format;
}

/** Row distance of a product's result, in floats: rows rounded up to whole groups. */
export function widthOf(w: Matrix): i32 {
  return (w.rows + 7) & ~7;
}

/** y [tokens rounded up to 4 (unless 1), widthOf(w)] = W x of the current activations. */
export function product(w: Matrix, y: usize): void {
  productRows(w, 0, w.rows, y, widthOf(w));
}

/**
 * Rows `first` to `first + count - 1` of W x; `first` is a multiple of 32. Lines of y lie `width` floats apart, and `count` rounded up to 8 is written.
 */
export function productRows(w: Matrix, first: i32, count: i32, y: usize, width: i32): void {
  const last = first + count;
  for (let i = 0, at = w.parts; i < w.partCount; i++, at += offsetof<Part>()) {
    const part = changetype<Part>(at);
    const from = max(first, part.firstRow), to = min(last, part.firstRow + part.rows);
    if (from < to) multiply(w.type, part.data, from - part.firstRow, to - from, y + (<usize>(from - first) << 2), width);
  }
}

/** One part's rows `skip` to `skip + count - 1`. */
function multiply(type: i32, data: usize, skip: i32, count: i32, y: usize, width: i32): void {
  const groups = (count + 7) >> 3, blocks = columns >> 5, four = (tokens + 3) & ~3;
  const stride = <usize>width << 2;
  if (type == F32) {
    data += <usize>skip * (<usize>columns << 2);
    if (tokens == 1) gemvF32(data, x, y, groups, columns);
    else gemmF32(data, x, y, groups, columns, four, stride);
    return;
  }
  const format = formatOf(type);
  if (rounded != format) round(format);
  const line = lineBytes(format), group = <usize>blocks * (type == Q4_0 ? Q4_TILE : Q8_TILE);
  data += <usize>(skip >> 3) * group;
  // A condition known when compiling: the plain build must not contain a relaxed instruction.
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (format == BYTES) {
      if (tokens == 1) gemvQ4Relaxed(data, blocksAt, y, groups, blocks);
      else gemmQ4Relaxed(data, blocksAt, y, groups, blocks, four, stride, tilesAt);
      return;
    }
  }
  if (tokens == 1) {
    if (type == Q4_0) gemvQ4Plain(data, blocksAt, y, groups, blocks);
    else gemvQ8(data, blocksAt, y, groups, blocks);
    return;
  }
  const end = tilesAt + <usize>blocks * PAIRS_TILE;
  for (let i = 0; i < groups; i++) {
    if (type == Q4_0) unpackQ4(data, tilesAt, end);
    else unpackQ8(data, tilesAt, end);
    multiplyPairs(tilesAt, end, blocksAt, line, y, stride, four);
    data += group;
    y += 32;
  }
}
