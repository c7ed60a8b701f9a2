/**
 * Keys and values as 16-bit integers with a scale for each position and head, and what attention computes with them: dot products of pairs, eight multiplications an
 * instruction, in exact integer sums.
 *
 * The integers lie as they are read, from front to back: in tiles of eight columns, each a list of pairs, [pairs, 8, 2]. For keys the columns are eight positions and
 * the pairs those of the dimensions; for values the columns are eight dimensions and the pairs those of the page's positions. So both are one function, `multiply`.
 * After a page's 64 positions come their scales, [64] floats.
 */
import { max4, sum4, sumOfSquares } from './math';
import { PAGE } from './model';

/** Bytes of a pair of eight columns. */
const PAIR: usize = 32;

/** The norm of integer keys and queries: |q k| <= |q| |k| < 2^31, in any part of the sum, with what rounding adds to each. */
const NORM: f32 = 32700;
/** The largest of integer values, and the largest sum of a page's integer weights: their product is below 2^31, with what rounding adds. */
const LARGEST: f32 = 16383;
const TOTAL: f32 = 131000;
/** What is smaller becomes 0, before its inverse overflows. */
const TINY: f32 = 1e-30;

/** Bytes of a head's keys, or values, of a page. */
@inline export function int16Share(headDim: i32): usize {
  return <usize>PAGE * (<usize>headDim << 1) + scaleBytes();
}

@inline function scaleBytes(): usize {
  return <usize>PAGE << 2;
}

/** Where a page's scales begin. */
@inline export function scalesOf(share: usize, headDim: i32): usize {
  return share + int16Share(headDim) - scaleBytes();
}

@inline function round4(x: v128, r: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x, r)));
}

/** n floats (a multiple of 8) at x as integers in their place, such that `size` becomes `levels`. Returns what an integer stands for. */
function round(x: usize, n: i32, size: f32, levels: f32): f32 {
  const r = f32x4.splat(size < TINY ? 0 : levels / size);
  for (let out = x, end = x + (<usize>n << 2); x != end; x += 32, out += 16) {
    v128.store(out, i16x8.narrow_i32x4_s(round4(v128.load(x), r), round4(v128.load(x, 16), r)));
  }
  return size < TINY ? 0 : size / levels;
}

/** A query or key of n floats as integers in its place, by its norm. Returns what an integer stands for. */
export function roundByNorm(x: usize, n: i32): f32 {
  return round(x, n, sqrt<f32>(sumOfSquares(x, n)), NORM);
}

/** Puts a position's key (n floats at k, which are lost) into a head's share of a page. */
export function storeKey(k: usize, share: usize, position: i32, n: i32): void {
  const at = <usize>position;
  store<f32>(scalesOf(share, n) + (at << 2), roundByNorm(k, n));
  let to = share + (at >> 3) * (<usize>n << 4) + ((at & 7) << 2);
  for (const end = k + (<usize>n << 1); k != end; k += 4, to += PAIR) store<u32>(to, load<u32>(k));
}

/** And its value. */
export function storeValue(v: usize, share: usize, position: i32, n: i32): void {
  const at = <usize>position;
  let most = f32x4.splat(0);
  for (let i: usize = 0, end = <usize>n << 2; i != end; i += 16) most = f32x4.max(most, f32x4.abs(v128.load(v + i)));
  store<f32>(scalesOf(share, n) + (at << 2), round(v, n, max4(most), LARGEST));
  let to = share + (at >> 1) * PAIR + ((at & 1) << 1);
  for (const end = v + (<usize>n << 1); v != end; v += 16, to += <usize>PAGE / 2 * PAIR) {
    for (let i: usize = 0; i < 8; i++) store<u16>(to + (i << 2), load<u16>(v + (i << 1)));
  }
}

/**
 * y_h [8 tiles] = sums of `pairs` pairs: x_h [pairs, 2] times `tiles` tiles [pairs, 8, 2], which lie `step` bytes apart. All are integers, those of x and the tiles of
 * 16 bits, the sums of 32. Four heads at a time; they may be the same.
 */
export function multiply(x0: usize, x1: usize, x2: usize, x3: usize, y0: usize, y1: usize, y2: usize, y3: usize, tile: usize, pairs: i32, tiles: i32, step: usize): void {
  const last = <usize>pairs << 2;
  for (const end = y0 + (<usize>tiles << 5); y0 != end; y0 += 32, y1 += 32, y2 += 32, y3 += 32, tile += step) {
    let a0 = i32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    for (let i: usize = 0, t = tile; i != last; i += 4, t += PAIR) {
      const s = v128.load(t), u = v128.load(t, 16);
      let x = v128.load32_splat(x0 + i); a0 = i32x4.add(a0, i32x4.dot_i16x8_s(s, x)); a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, x));
      x = v128.load32_splat(x1 + i); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(s, x)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(u, x));
      x = v128.load32_splat(x2 + i); c0 = i32x4.add(c0, i32x4.dot_i16x8_s(s, x)); c1 = i32x4.add(c1, i32x4.dot_i16x8_s(u, x));
      x = v128.load32_splat(x3 + i); d0 = i32x4.add(d0, i32x4.dot_i16x8_s(s, x)); d1 = i32x4.add(d1, i32x4.dot_i16x8_s(u, x));
    }
    v128.store(y0, a0); v128.store(y0, a1, 16); v128.store(y1, b0); v128.store(y1, b1, 16);
    v128.store(y2, c0); v128.store(y2, c1, 16); v128.store(y3, d0); v128.store(y3, d1, 16);
  }
}

/** Sums of `count` positions (rounded up to 4) become scores, in place: sum * unit * scale. */
export function scoresFrom(sums: usize, scales: usize, unit: f32, count: i32): void {
  const by = f32x4.splat(unit);
  for (const end = sums + (<usize>count << 2); sums < end; sums += 16, scales += 16) {
    v128.store(sums, f32x4.mul(f32x4.convert_i32x4_s(v128.load(sums)), f32x4.mul(v128.load(scales), by)));
  }
}

/**
 * A page's weights, from floats to integers in their place, each times its value's scale. Returns what an integer stands for. After the `count` positions, up to a
 * multiple of 8, they are 0, whatever lies there.
 */
export function roundWeights(weights: usize, scales: usize, count: i32): f32 {
  const padded = count + 7 & ~7, end = weights + (<usize>padded << 2), zero = f32x4.splat(0);
  for (let w = weights + (<usize>count << 2); w != end; w += 4) store<f32>(w, 0);
  let most = zero, total = zero;
  for (let w = weights, s = scales; w != end; w += 16, s += 16) {
    const e = v128.load(w), x = v128.and(f32x4.mul(e, v128.load(s)), f32x4.ne(e, zero));
    v128.store(w, x);
    most = f32x4.max(most, x);
    total = f32x4.add(total, x);
  }
  return round(weights, padded, max(sum4(total), max4(most) * (TOTAL / 32767)), TOTAL);
}

/** out [n] = out * keep + sums * unit. */
export function addSums(out: usize, keep: f32, sums: usize, unit: f32, n: i32): void {
  const k = f32x4.splat(keep), u = f32x4.splat(unit);
  for (let i: usize = 0, end = <usize>n << 2; i != end; i += 16) {
    v128.store(out + i, f32x4.add(f32x4.mul(v128.load(out + i), k), f32x4.mul(f32x4.convert_i32x4_s(v128.load(sums + i)), u)));
  }
}
