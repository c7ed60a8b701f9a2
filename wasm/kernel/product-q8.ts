/**
 * y = W x with q8_0 weights and int16 activations: both as int16, multiplied and added in pairs into int32 (relaxed SIMD's dot product wants one operand in
 * 7 bits, and neither is). A block's sum stays below 32 * 128 * 32767, which int32 holds. Sums of blocks are added in order as
 * f32(sum) * (weight scale * activation scale).
 *
 * Every function exists twice, by where activations come from (`X`): i16 for PAIRS; i8 for NIBBLE_PAIRS, the int8 that q4_0 has without relaxed SIMD. The latter gives the same
 * integers, and the same floating-point operations in the same order, as product-q8-relaxed.ts.
 */
import { PAIRS_QUAD } from './quantize';
import { HALF_MASK, Q8_TILE, scalesHigh, scalesLow, spread0, spread1, spread2, spread3 } from './tile';

/** The first two of four columns, of each token of a quad. */
@inline function first<X>(p: usize): v128 {
  if (sizeof<X>() == 2) return v128.load(p);
  return v128.shuffle<i16>(v128.load(p), v128.load(p, 16), 0, 8, 2, 10, 4, 12, 6, 14);
}

/** The other two. */
@inline function second<X>(p: usize): v128 {
  if (sizeof<X>() == 2) return v128.load(p, 16);
  return v128.shuffle<i16>(v128.load(p), v128.load(p, 16), 1, 9, 3, 11, 5, 13, 7, 15);
}

@inline function firstOfOne<X>(p: usize): v128 {
  return sizeof<X>() == 2 ? v128.load32_splat(p) : spread0(first<X>(p));
}

@inline function secondOfOne<X>(p: usize): v128 {
  return sizeof<X>() == 2 ? v128.load32_splat(p, 16) : spread0(second<X>(p));
}

@inline function dot(a: v128, x: v128, w: v128): v128 {
  return i32x4.add(a, i32x4.dot_i16x8_s(w, x));
}

@inline function dotLow(a: v128, x: v128, v: v128): v128 {
  return dot(a, x, i16x8.extend_low_i8x16_s(v));
}

@inline function dotHigh(a: v128, x: v128, v: v128): v128 {
  return dot(a, x, i16x8.extend_high_i8x16_s(v));
}

@inline function addBlock(f: v128, a: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(a), scale));
}

/** Token 0 of a quad. Four row groups at once. */
export function gemvQ8<X>(w: usize, x: usize, y: usize, groups: i32, blocks: i32): void {
  const mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * PAIRS_QUAD, stride = <usize>blocks * Q8_TILE;
  for (; groups >= 4; groups -= 4) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0;
    let w0 = w, w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
    for (let p = x; p != xEnd; p += PAIRS_QUAD - 256) {
      let a0 = i32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
      let v: v128, xv: v128;
      for (const end = p + 256; p != end; p += 64) {
        xv = firstOfOne<X>(p);
        v = v128.load(w0); a0 = dotLow(a0, xv, v); b0 = dotHigh(b0, xv, v);
        v = v128.load(w1); a1 = dotLow(a1, xv, v); b1 = dotHigh(b1, xv, v);
        v = v128.load(w2); a2 = dotLow(a2, xv, v); b2 = dotHigh(b2, xv, v);
        v = v128.load(w3); a3 = dotLow(a3, xv, v); b3 = dotHigh(b3, xv, v);
        xv = secondOfOne<X>(p);
        v = v128.load(w0, 16); a0 = dotLow(a0, xv, v); b0 = dotHigh(b0, xv, v);
        v = v128.load(w1, 16); a1 = dotLow(a1, xv, v); b1 = dotHigh(b1, xv, v);
        v = v128.load(w2, 16); a2 = dotLow(a2, xv, v); b2 = dotHigh(b2, xv, v);
        v = v128.load(w3, 16); a3 = dotLow(a3, xv, v); b3 = dotHigh(b3, xv, v);
        xv = firstOfOne<X>(p + 32);
        v = v128.load(w0, 32); a0 = dotLow(a0, xv, v); b0 = dotHigh(b0, xv, v);
        v = v128.load(w1, 32); a1 = dotLow(a1, xv, v); b1 = dotHigh(b1, xv, v);
        v = v128.load(w2, 32); a2 = dotLow(a2, xv, v); b2 = dotHigh(b2, xv, v);
        v = v128.load(w3, 32); a3 = dotLow(a3, xv, v); b3 = dotHigh(b3, xv, v);
        xv = secondOfOne<X>(p + 32);
        v = v128.load(w0, 48); a0 = dotLow(a0, xv, v); b0 = dotHigh(b0, xv, v);
        v = v128.load(w1, 48); a1 = dotLow(a1, xv, v); b1 = dotHigh(b1, xv, v);
        v = v128.load(w2, 48); a2 = dotLow(a2, xv, v); b2 = dotHigh(b2, xv, v);
        v = v128.load(w3, 48); a3 = dotLow(a3, xv, v); b3 = dotHigh(b3, xv, v);
        w0 += 64; w1 += 64; w2 += 64; w3 += 64;
      }
      xv = v128.load32_splat(p);
      v = v128.load(w0); f0 = addBlock(f0, a0, f32x4.mul(scalesLow(v, mask), xv)); g0 = addBlock(g0, b0, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w1); f1 = addBlock(f1, a1, f32x4.mul(scalesLow(v, mask), xv)); g1 = addBlock(g1, b1, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w2); f2 = addBlock(f2, a2, f32x4.mul(scalesLow(v, mask), xv)); g2 = addBlock(g2, b2, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w3); f3 = addBlock(f3, a3, f32x4.mul(scalesLow(v, mask), xv)); g3 = addBlock(g3, b3, f32x4.mul(scalesHigh(v, mask), xv));
      w0 += 16; w1 += 16; w2 += 16; w3 += 16;
    }
    v128.store(y, f0); v128.store(y, g0, 16); v128.store(y, f1, 32); v128.store(y, g1, 48);
    v128.store(y, f2, 64); v128.store(y, g2, 80); v128.store(y, f3, 96); v128.store(y, g3, 112);
    y += 128;
    w = w3;
  }
  for (; groups > 0; groups--) {
    let f = i32x4.splat(0), g = f;
    for (let p = x; p != xEnd; p += PAIRS_QUAD - 256) {
      let a = i32x4.splat(0), b = a;
      for (const end = p + 256; p != end; p += 32) {
        let xv = firstOfOne<X>(p), v = v128.load(w);
        a = dotLow(a, xv, v); b = dotHigh(b, xv, v);
        xv = secondOfOne<X>(p); v = v128.load(w, 16);
        a = dotLow(a, xv, v); b = dotHigh(b, xv, v);
        w += 32;
      }
      const xs = v128.load32_splat(p), s = v128.load(w);
      f = addBlock(f, a, f32x4.mul(scalesLow(s, mask), xs)); g = addBlock(g, b, f32x4.mul(scalesHigh(s, mask), xs));
      w += 16;
    }
    v128.store(y, f); v128.store(y, g, 16);
    y += 32;
  }
}

/** The four tokens of a quad, one row group at a time. Lines of y lie `line` bytes apart. */
export function quadQ8<X>(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize): void {
  const mask = i32x4.splat(HALF_MASK);
  for (; groups > 0; groups--) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0, p = x;
    for (const end = w + <usize>blocks * Q8_TILE; w != end; w += Q8_TILE - 256) {
      let a0 = i32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0, xs: v128, xv: v128, wa: v128, wb: v128;
      for (const last = w + 256; w != last; w += 32) {
        xs = first<X>(p); wb = v128.load(w); wa = i16x8.extend_low_i8x16_s(wb); wb = i16x8.extend_high_i8x16_s(wb);
        xv = spread0(xs); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread1(xs); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread2(xs); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread3(xs); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        xs = second<X>(p); wb = v128.load(w, 16); wa = i16x8.extend_low_i8x16_s(wb); wb = i16x8.extend_high_i8x16_s(wb);
        xv = spread0(xs); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread1(xs); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread2(xs); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread3(xs); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        p += 32;
      }
      xs = v128.load(p); wb = v128.load(w); wa = scalesLow(wb, mask); wb = scalesHigh(wb, mask);
      xv = spread0(xs); f0 = addBlock(f0, a0, f32x4.mul(wa, xv)); g0 = addBlock(g0, b0, f32x4.mul(wb, xv));
      xv = spread1(xs); f1 = addBlock(f1, a1, f32x4.mul(wa, xv)); g1 = addBlock(g1, b1, f32x4.mul(wb, xv));
      xv = spread2(xs); f2 = addBlock(f2, a2, f32x4.mul(wa, xv)); g2 = addBlock(g2, b2, f32x4.mul(wb, xv));
      xv = spread3(xs); f3 = addBlock(f3, a3, f32x4.mul(wa, xv)); g3 = addBlock(g3, b3, f32x4.mul(wb, xv));
      p += PAIRS_QUAD - 256;
    }
    let out = y;
    v128.store(out, f0); v128.store(out, g0, 16); out += line;
    v128.store(out, f1); v128.store(out, g1, 16); out += line;
    v128.store(out, f2); v128.store(out, g2, 16); out += line;
    v128.store(out, f3); v128.store(out, g3, 16);
    y += 32;
  }
}
