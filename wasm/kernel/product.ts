/**
 * y = W x for one or several tokens, whatever the weight type. `input` names the activations, `product` multiplies them with a matrix; they are rounded to
 * integers when the first matrix wants that, and only once for all that share them.
 */
import { F32, Matrix, Part, Q4_0, Q8_0 } from './model';
import { gemmF32, gemvF32 } from './product-f32';
import { gemvQ4Plain, quadQ4Plain } from './product-q4-plain';
import { gemvQ4, int32SumsAreFaster, pairQ4, quadQ4 } from './product-q4-relaxed';
import { gemvQ4Wide, pairQ4Wide, quadQ4Wide } from './product-q4-wide';
import { gemvQ8, quadQ8 } from './product-q8';
import { gemvQ8Bytes, quadQ8Bytes } from './product-q8-relaxed';
import { BYTES, BYTES_QUAD, BYTES_SPLIT, NIBBLE_PAIRS, PAIRS, PAIRS_QUAD, quantizeRow } from './quantize';
import { barrier, shareEnd, shareFirst } from './team';
import { Q4_TILE, Q8_TILE } from './tile';

const NONE = -1;
/** A member of a team (team.ts) computes whole runs of so many rows, and rounds as many columns. */
export const RUN: i32 = 32;
/** Row groups that go through all of more than four tokens before the next do: few enough to stay in the second-level cache, enough for long runs of memory. Four of them were 10 % slower in Node. */
const GROUPS: i32 = 16;

/** Scratch: rounded activations of a micro-batch. */
let quads: usize = 0;
/** Which format q4_0's activations have here. */
let q4Format: i32 = NIBBLE_PAIRS;
/** Where the wide products (product-q4-wide.ts) keep their sums; 0: they are not used. */
let wideSums: usize = 0;

/** The current activations: `tokens` lines of `columns` floats, whether the whole team may read them, and which format of them lies at `quads`. */
let x: usize = 0;
let columns: i32 = 0;
let tokens: i32 = 0;
let shared: bool = false;
let rounded: i32 = NONE;

/**
 * Sets the scratch of products: 288 bytes for each 32 columns of each 4 rows of a micro-batch. `sums`: 32 or 16 bits for the sums of q4_0's blocks in relaxed SIMD (same
 * result), 0 for what suits the processor.
 */
export function setProductScratch(at: usize, sums: i32): void {
  quads = at;
  if (ASC_FEATURE_RELAXED_SIMD) q4Format = (sums ? sums == 32 : int32SumsAreFaster()) ? BYTES : BYTES_SPLIT;
}

/**
 * Has q4_0's products computed for a compiler that joins 128-bit instructions to 256-bit ones, to the same bits; `at`: 256 bytes of this instance's own, or 0 for the usual ones. Nothing in the
 * plain build.
 */
export function setWideProducts(at: usize): void {
  wideSums = at;
}

/**
 * Names the activations of the products that follow: `rows` lines of `width` floats. Lines up to the next multiple of 4 are read (and ignored). Any member of the team may
 * have written them just now.
 */
export function input(at: usize, width: i32, rows: i32): void {
  x = at;
  columns = width;
  tokens = rows;
  shared = false;
  rounded = NONE;
}

/** Bytes of four tokens' rounded activations. */
function quadBytes(format: i32): usize {
  return <usize>(columns >> 5) * (format <= BYTES_SPLIT ? BYTES_QUAD : PAIRS_QUAD);
}

function round(format: i32): void {
  const first = shareFirst(columns, RUN), count = shareEnd(columns, RUN) - first, quad = quadBytes(format);
  const from = x + (<usize>first << 2), to = quads + <usize>(first >> 5) * (format <= BYTES_SPLIT ? BYTES_QUAD : PAIRS_QUAD);
  for (let i: usize = 0; i < <usize>tokens; i++) {
    quantizeRow(from + i * (<usize>columns << 2), to + (i >> 2) * quad + ((i & 3) << 2), count, format);
  }
}

/** Sees to it that the activations can be read, as floats and (unless `format` is NONE) rounded. */
function prepare(format: i32): void {
  if (!shared) barrier();
  shared = true;
  if (format == NONE || format == rounded) return;
  // Others may still be multiplying with those of another format.
  if (rounded != NONE) barrier();
  round(format);
  rounded = format;
  barrier();
}

/** Which activations a matrix is multiplied with. q8_0 takes the int8 that a q4_0 matrix of the same input has left, rather than round a second time. */
function formatFor(type: i32): i32 {
  if (type == F32) return NONE;
  return type == Q4_0 || rounded == q4Format ? q4Format : PAIRS;
}

/** Row distance of a product's result, in floats: rows rounded up to whole groups. */
export function widthOf(w: Matrix): i32 {
  return (w.rows + 7) & ~7;
}

/** y [tokens rounded up to 4 (unless 1), widthOf(w)] = W x of the current activations; of a team each member's share of the rows, in runs of RUN. */
export function product(w: Matrix, y: usize): void {
  productRows(w, 0, w.rows, y, widthOf(w));
}

/**
 * Rows `first` to `first + count - 1` of W x, each member its share; `first` is a multiple of 32. Lines of y lie `width` floats apart, and `count` rounded up to 8 is written.
 */
export function productRows(w: Matrix, first: i32, count: i32, y: usize, width: i32): void {
  prepare(formatFor(w.type));
  const skip = shareFirst(count, RUN);
  multiplyRows(w, first + skip, shareEnd(count, RUN) - skip, y + (<usize>skip << 2), width);
}

function multiplyRows(w: Matrix, first: i32, count: i32, y: usize, width: i32): void {
  const last = first + count;
  for (let i = 0, at = w.parts; i < w.partCount; i++, at += offsetof<Part>()) {
    const part = changetype<Part>(at);
    const from = max(first, part.firstRow), to = min(last, part.firstRow + part.rows);
    if (from < to) multiply(w.type, part.data, from - part.firstRow, to - from, y + (<usize>(from - first) << 2), width);
  }
}

/** One part's rows `skip` to `skip + count - 1`. */
function multiply(type: i32, data: usize, skip: i32, count: i32, y: usize, width: i32): void {
  const line = <usize>width << 2;
  let groups = (count + 7) >> 3;
  if (type == F32) {
    data += <usize>skip * (<usize>columns << 2);
    if (tokens == 1) gemvF32(data, x, y, groups, columns);
    else gemmF32(data, x, y, groups, columns, (tokens + 3) & ~3, line);
    return;
  }
  const format = rounded;
  const quad = quadBytes(format), group = <usize>(columns >> 5) * (type == Q4_0 ? Q4_TILE : Q8_TILE);
  data += <usize>(skip >> 3) * group;
  for (; groups > 0;) {
    const some = tokens <= 4 ? groups : min(groups, GROUPS);
    groups -= some;
    let at = quads, to = y, left = tokens;
    for (; left > 2; left -= 4) {
      multiplyQuad(type, format, data, at, to, some, line);
      at += quad;
      to += line << 2;
    }
    if (left == 2) multiplyPair(type, format, data, at, to, some, line);
    else if (left == 1) multiplyOne(type, format, data, at, to, some);
    data += <usize>some * group;
    y += <usize>some << 5;
  }
}

/*
 * A quad's first one, two or four tokens. In the relaxed build q4_0 has BYTES or BYTES_SPLIT; a condition known when compiling keeps relaxed instructions out of
 * the plain build. q8_0 reads either, whose difference is in what q4_0 alone needs.
 */

function multiplyOne(type: i32, format: i32, w: usize, at: usize, y: usize, groups: i32): void {
  const blocks = columns >> 5;
  if (format == PAIRS) return gemvQ8<i16>(w, at, y, groups, blocks);
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (type == Q8_0) gemvQ8Bytes(w, at, y, groups, blocks);
    else if (format == BYTES) wideSums ? gemvQ4Wide<i32>(w, at, y, groups, blocks, wideSums) : gemvQ4<i32>(w, at, y, groups, blocks);
    else wideSums ? gemvQ4Wide<i16>(w, at, y, groups, blocks, wideSums) : gemvQ4<i16>(w, at, y, groups, blocks);
  } else if (type == Q8_0) gemvQ8<i8>(w, at, y, groups, blocks);
  else gemvQ4Plain(w, at, y, groups, blocks);
}

function multiplyPair(type: i32, format: i32, w: usize, at: usize, y: usize, groups: i32, line: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD && type == Q4_0) {
    const blocks = columns >> 5;
    if (format == BYTES) return wideSums ? pairQ4Wide<i32>(w, at, y, groups, blocks, line, wideSums) : pairQ4<i32>(w, at, y, groups, blocks, line);
    return wideSums ? pairQ4Wide<i16>(w, at, y, groups, blocks, line, wideSums) : pairQ4<i16>(w, at, y, groups, blocks, line);
  }
  multiplyOne(type, format, w, at, y, groups);
  multiplyOne(type, format, w, at + 4, y + line, groups);
}

function multiplyQuad(type: i32, format: i32, w: usize, at: usize, y: usize, groups: i32, line: usize): void {
  const blocks = columns >> 5;
  if (format == PAIRS) return quadQ8<i16>(w, at, y, groups, blocks, line);
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (type == Q8_0) quadQ8Bytes(w, at, y, groups, blocks, line);
    else if (format == BYTES) wideSums ? quadQ4Wide<i32>(w, at, y, groups, blocks, line, wideSums) : quadQ4<i32>(w, at, y, groups, blocks, line);
    else wideSums ? quadQ4Wide<i16>(w, at, y, groups, blocks, line, wideSums) : quadQ4<i16>(w, at, y, groups, blocks, line);
  } else if (type == Q8_0) quadQ8<i8>(w, at, y, groups, blocks, line);
  else quadQ4Plain(w, at, y, groups, blocks, line);
}
