/**
 * y = W x with q4_0 weights and int8 activations where relaxed SIMD is missing: nibbles and activations as int16, multiplied and added in pairs into int32.
 * The same integers, and the same floating-point operations in the same order, as product-q4-relaxed.ts.
 */
import { PAIRS_QUAD } from './quantize';
import { HALF_MASK, Q4_TILE, scalesHigh, scalesLow, spread0, spread1, spread2, spread3 } from './tile';

@inline function dot(a: v128, x: v128, w: v128): v128 {
  return i32x4.add(a, i32x4.dot_i16x8_s(w, x));
}

/** Nibbles 0 and 2 of each four of rows 0..3 with x01, 1 and 3 with x23 (pairs in the order that NIBBLE_PAIRS gives them). */
@inline function dotLow(a: v128, x01: v128, x23: v128, v: v128, m: v128): v128 {
  return dot(dot(a, x01, v128.and(v, m)), x23, v128.and(i16x8.shr_u(v, 8), m));
}

/** The same of rows 4..7. */
@inline function dotHigh(a: v128, x01: v128, x23: v128, v: v128, m: v128): v128 {
  return dot(dot(a, x01, v128.and(i16x8.shr_u(v, 4), m)), x23, i16x8.shr_u(v, 12));
}

@inline function addBlock(f: v128, a: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(a), scale));
}

/** Token 0 of a quad. Two row groups at once (or one, at the end), as many as the registers hold. */
export function gemvQ4Plain(w: usize, x: usize, y: usize, groups: i32, blocks: i32): void {
  const m = i16x8.splat(15), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * PAIRS_QUAD, stride = <usize>blocks * Q4_TILE;
  for (; groups > 0; groups -= 2) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0;
    let w0 = w, w1 = groups > 1 ? w + stride : w;
    for (let p = x; p != xEnd; p += PAIRS_QUAD) {
      let a0 = v128.load32_splat(p, 272), b0 = a0, a1 = a0, b1 = a0;
      let v: v128, x01: v128, x23: v128;
      x01 = v128.load32_splat(p, 0); x23 = v128.load32_splat(p, 16);
      v = v128.load(w0, 0); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 0); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 32); x23 = v128.load32_splat(p, 48);
      v = v128.load(w0, 16); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 16); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 64); x23 = v128.load32_splat(p, 80);
      v = v128.load(w0, 32); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 32); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 96); x23 = v128.load32_splat(p, 112);
      v = v128.load(w0, 48); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 48); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 128); x23 = v128.load32_splat(p, 144);
      v = v128.load(w0, 64); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 64); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 160); x23 = v128.load32_splat(p, 176);
      v = v128.load(w0, 80); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 80); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 192); x23 = v128.load32_splat(p, 208);
      v = v128.load(w0, 96); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 96); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 224); x23 = v128.load32_splat(p, 240);
      v = v128.load(w0, 112); a0 = dotLow(a0, x01, x23, v, m); b0 = dotHigh(b0, x01, x23, v, m);
      v = v128.load(w1, 112); a1 = dotLow(a1, x01, x23, v, m); b1 = dotHigh(b1, x01, x23, v, m);
      x01 = v128.load32_splat(p, 256);
      v = v128.load(w0, 128); f0 = addBlock(f0, a0, f32x4.mul(scalesLow(v, mask), x01)); g0 = addBlock(g0, b0, f32x4.mul(scalesHigh(v, mask), x01));
      v = v128.load(w1, 128); f1 = addBlock(f1, a1, f32x4.mul(scalesLow(v, mask), x01)); g1 = addBlock(g1, b1, f32x4.mul(scalesHigh(v, mask), x01));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    v128.store(y, f0); v128.store(y, g0, 16);
    if (groups > 1) { v128.store(y, f1, 32); v128.store(y, g1, 48); }
    y += 64;
    w = w1;
  }
}

/** The four tokens of a quad, one row group at a time. Lines of y lie `line` bytes apart. */
export function quadQ4Plain(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize): void {
  const m = i16x8.splat(15), mask = i32x4.splat(HALF_MASK);
  for (; groups > 0; groups--) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0, p = x;
    for (const end = w + <usize>blocks * Q4_TILE; w != end; w += Q4_TILE - 128) {
      let xs = v128.load(p, 272), xv: v128, wa: v128, wb: v128;
      let a0 = spread0(xs), b0 = a0, a1 = spread1(xs), b1 = a1, a2 = spread2(xs), b2 = a2, a3 = spread3(xs), b3 = a3;
      for (const last = w + 128; w != last; w += 16) {
        const v = v128.load(w);
        xs = v128.load(p); wa = v128.and(v, m); wb = v128.and(i16x8.shr_u(v, 4), m);
        xv = spread0(xs); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread1(xs); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread2(xs); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread3(xs); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        xs = v128.load(p, 16); wa = v128.and(i16x8.shr_u(v, 8), m); wb = i16x8.shr_u(v, 12);
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
