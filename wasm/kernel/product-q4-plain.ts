/**
 * y = W x with q4_0 weights and int8 activations where relaxed SIMD is missing: nibbles and activations as int16, multiplied and added in pairs into int32.
 * The same integers, and the same floating-point operations in the same order, as product-q4-relaxed.ts.
 */
import { PAIRS_BLOCK } from './quantize';
import { HALF_MASK, PAIRS_TILE, Q4_TILE, scalesHigh, scalesLow } from './tile';

/** Nibbles 0 and 2 of each four of rows 0..3 with x01, 1 and 3 with x23 (pairs in the order that NIBBLE_PAIRS gives them). */
@inline function dotLow(a: v128, x01: v128, x23: v128, v: v128, m: v128): v128 {
  return i32x4.add(i32x4.add(a, i32x4.dot_i16x8_s(v128.and(v, m), x01)), i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(v, 8), m), x23));
}

/** The same of rows 4..7. */
@inline function dotHigh(a: v128, x01: v128, x23: v128, v: v128, m: v128): v128 {
  return i32x4.add(i32x4.add(a, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(v, 4), m), x01)), i32x4.dot_i16x8_s(i16x8.shr_u(v, 12), x23));
}

@inline function addBlock(f: v128, a: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(a), scale));
}

/** One token; x in NIBBLE_PAIRS blocks. Two row groups at once, as many as the registers hold. */
export function gemvQ4Plain(w: usize, x: usize, y: usize, groups: i32, blocks: i32): void {
  const m = i16x8.splat(15), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * PAIRS_BLOCK, stride = <usize>blocks * Q4_TILE;
  for (; groups >= 2; groups -= 2) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0;
    let w0 = w, w1 = w0 + stride;
    for (let p = x; p != xEnd; p += PAIRS_BLOCK) {
      let a0 = v128.load32_splat(p, 68), b0 = a0, a1 = a0, b1 = a0;
      let v: v128, x01: v128, x23: v128;
      x01 = v128.load32_splat(p, 0); x23 = v128.load32_splat(p, 4);
      v = v128.load(w0, 0); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 0); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 8); x23 = v128.load32_splat(p, 12);
      v = v128.load(w0, 16); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 16); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 16); x23 = v128.load32_splat(p, 20);
      v = v128.load(w0, 32); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 32); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 24); x23 = v128.load32_splat(p, 28);
      v = v128.load(w0, 48); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 48); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 32); x23 = v128.load32_splat(p, 36);
      v = v128.load(w0, 64); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 64); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 40); x23 = v128.load32_splat(p, 44);
      v = v128.load(w0, 80); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 80); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 48); x23 = v128.load32_splat(p, 52);
      v = v128.load(w0, 96); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 96); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 56); x23 = v128.load32_splat(p, 60);
      v = v128.load(w0, 112); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 112); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 64);
      v = v128.load(w0, 128); f0 = addBlock(f0, a0, f32x4.mul(scalesLow(v, mask), x01)); g0 = addBlock(g0, b0, f32x4.mul(scalesHigh(v, mask), x01));
      v = v128.load(w1, 128); f1 = addBlock(f1, a1, f32x4.mul(scalesLow(v, mask), x01)); g1 = addBlock(g1, b1, f32x4.mul(scalesHigh(v, mask), x01));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    v128.store(y, f0); v128.store(y, g0, 16); v128.store(y, f1, 32); v128.store(y, g1, 48);
    y += 64;
    w = w1;
  }
  if (groups == 0) return;
  let f = i32x4.splat(0), g = f;
  for (let p = x; p != xEnd; p += PAIRS_BLOCK) {
    let a = v128.load32_splat(p, 68), b = a;
    for (let i: usize = 0; i < 8; i++) {
      const v = v128.load(w + (i << 4)), x01 = v128.load32_splat(p + (i << 3)), x23 = v128.load32_splat(p + (i << 3), 4);
      a = dotLow(a, x01, x23, v, m); b = dotHigh(b, x01, x23, v, m);
    }
    const v = v128.load(w, 128), xs = v128.load32_splat(p, 64);
    f = addBlock(f, a, f32x4.mul(scalesLow(v, mask), xs)); g = addBlock(g, b, f32x4.mul(scalesHigh(v, mask), xs));
    w += Q4_TILE;
  }
  v128.store(y, f); v128.store(y, g, 16);
}

/** Unpacks one row group into the int16 tiles of product-pairs.ts, for activations in NIBBLE_PAIRS blocks. */
export function unpackQ4(w: usize, to: usize, end: usize): void {
  const m = i16x8.splat(15), mask = i32x4.splat(HALF_MASK);
  for (; to != end; to += PAIRS_TILE) {
    for (let g: usize = 0; g < 8; g++) {
      const v = v128.load(w + (g << 4)), at = to + (g << 6);
      v128.store(at, v128.and(v, m));
      v128.store(at, v128.and(i16x8.shr_u(v, 4), m), 16);
      v128.store(at, v128.and(i16x8.shr_u(v, 8), m), 32);
      v128.store(at, i16x8.shr_u(v, 12), 48);
    }
    const s = v128.load(w, 128);
    v128.store(to, scalesLow(s, mask), 512);
    v128.store(to, scalesHigh(s, mask), 528);
    w += Q4_TILE;
  }
}
