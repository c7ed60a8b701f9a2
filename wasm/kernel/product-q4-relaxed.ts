/**
 * y = W x with q4_0 weights and int8 activations, by relaxed SIMD's dot product of int8 and int7 pairs. The weights' nibbles (0..15) are the int7 operand, so
 * the result is the same on every machine. A block's sum stays in int16: from -8 * sum(x) on, no partial sum exceeds 8 * 16 * 127.
 * Sums of blocks are added in order as f32(sum) * (weight scale * activation scale), without fused multiply-adds, whose rounding machines differ in.
 *
 * Written out by hand, without loops over what is constant: the order of the statements is the order of the instructions, and V8 keeps it.
 */
import { BYTES_BLOCK } from './quantize';
import { BYTES_TILE, HALF_MASK, Q4_TILE, scalesHigh, scalesLow } from './tile';

@inline function dotLow(a: v128, x: v128, v: v128, m: v128): v128 {
  return i16x8.add(a, i16x8.relaxed_dot_i8x16_i7x16_s(x, v128.and(v, m)));
}

@inline function dotHigh(a: v128, x: v128, v: v128, m: v128): v128 {
  return i16x8.add(a, i16x8.relaxed_dot_i8x16_i7x16_s(x, v128.and(i16x8.shr_u(v, 4), m)));
}

@inline function dot(a: v128, x: v128, w: v128): v128 {
  return i16x8.add(a, i16x8.relaxed_dot_i8x16_i7x16_s(x, w));
}

@inline function addBlock(f: v128, a: v128, one: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(i32x4.dot_i16x8_s(a, one)), scale));
}

/** One token; x in BYTES blocks. Four row groups at once: 15-35 % faster than one when weights stream from memory. */
export function gemvQ4Relaxed(w: usize, x: usize, y: usize, groups: i32, blocks: i32): void {
  const m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_BLOCK, stride = <usize>blocks * Q4_TILE;
  for (; groups >= 4; groups -= 4) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0;
    let w0 = w, w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
    for (let p = x; p != xEnd; p += BYTES_BLOCK) {
      let a0 = v128.load32_splat(p, 36), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
      let v: v128, xv: v128;
      xv = v128.load32_splat(p, 0);
      v = v128.load(w0, 0); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 0); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 0); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 0); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 4);
      v = v128.load(w0, 16); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 16); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 16); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 16); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 8);
      v = v128.load(w0, 32); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 32); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 32); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 32); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 12);
      v = v128.load(w0, 48); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 48); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 48); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 48); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 16);
      v = v128.load(w0, 64); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 64); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 64); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 64); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 20);
      v = v128.load(w0, 80); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 80); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 80); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 80); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 24);
      v = v128.load(w0, 96); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 96); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 96); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 96); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 28);
      v = v128.load(w0, 112); a0 = dotLow(a0, xv, v, m); b0 = dotHigh(b0, xv, v, m);
      v = v128.load(w1, 112); a1 = dotLow(a1, xv, v, m); b1 = dotHigh(b1, xv, v, m);
      v = v128.load(w2, 112); a2 = dotLow(a2, xv, v, m); b2 = dotHigh(b2, xv, v, m);
      v = v128.load(w3, 112); a3 = dotLow(a3, xv, v, m); b3 = dotHigh(b3, xv, v, m);
      xv = v128.load32_splat(p, 32);
      v = v128.load(w0, 128); f0 = addBlock(f0, a0, one, f32x4.mul(scalesLow(v, mask), xv)); g0 = addBlock(g0, b0, one, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w1, 128); f1 = addBlock(f1, a1, one, f32x4.mul(scalesLow(v, mask), xv)); g1 = addBlock(g1, b1, one, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w2, 128); f2 = addBlock(f2, a2, one, f32x4.mul(scalesLow(v, mask), xv)); g2 = addBlock(g2, b2, one, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w3, 128); f3 = addBlock(f3, a3, one, f32x4.mul(scalesLow(v, mask), xv)); g3 = addBlock(g3, b3, one, f32x4.mul(scalesHigh(v, mask), xv));
      w0 += Q4_TILE; w1 += Q4_TILE; w2 += Q4_TILE; w3 += Q4_TILE;
    }
    v128.store(y, f0); v128.store(y, g0, 16); v128.store(y, f1, 32); v128.store(y, g1, 48);
    v128.store(y, f2, 64); v128.store(y, g2, 80); v128.store(y, f3, 96); v128.store(y, g3, 112);
    y += 128;
    w = w3;
  }
  for (; groups > 0; groups--) {
    let f = i32x4.splat(0), g = f;
    for (let p = x; p != xEnd; p += BYTES_BLOCK) {
      let a = v128.load32_splat(p, 36), b = a, v: v128, xv: v128;
      v = v128.load(w, 0); xv = v128.load32_splat(p, 0); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 16); xv = v128.load32_splat(p, 4); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 32); xv = v128.load32_splat(p, 8); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 48); xv = v128.load32_splat(p, 12); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 64); xv = v128.load32_splat(p, 16); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 80); xv = v128.load32_splat(p, 20); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 96); xv = v128.load32_splat(p, 24); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 112); xv = v128.load32_splat(p, 28); a = dotLow(a, xv, v, m); b = dotHigh(b, xv, v, m);
      v = v128.load(w, 128); xv = v128.load32_splat(p, 32);
      f = addBlock(f, a, one, f32x4.mul(scalesLow(v, mask), xv)); g = addBlock(g, b, one, f32x4.mul(scalesHigh(v, mask), xv));
      w += Q4_TILE;
    }
    v128.store(y, f); v128.store(y, g, 16);
    y += 32;
  }
}

/** Unpacks one row group into bytes. */
@inline function unpack(w: usize, to: usize, end: usize): void {
  const m = i8x16.splat(15), mask = i32x4.splat(HALF_MASK);
  for (; to != end; to += BYTES_TILE) {
    for (let g: usize = 0; g < 8; g++) {
      const v = v128.load(w + (g << 4));
      v128.store(to + (g << 5), v128.and(v, m));
      v128.store(to + (g << 5), v128.and(i16x8.shr_u(v, 4), m), 16);
    }
    const s = v128.load(w, 128);
    v128.store(to, scalesLow(s, mask), 256);
    v128.store(to, scalesHigh(s, mask), 272);
    w += Q4_TILE;
  }
}

/**
 * `tokens` (a multiple of 4) tokens: each row group is unpacked to `scratch` once, then multiplied in tiles of 8 rows x 4 tokens. One 16-byte load brings
 * 16 activations of a token, which shuffles spread: workerd checks the bounds of every load, and this halves their number.
 */
export function gemmQ4Relaxed(w: usize, x: usize, y: usize, groups: i32, blocks: i32, tokens: i32, yStride: usize, scratch: usize): void {
  const one = i16x8.splat(1);
  const xStride = <usize>blocks * BYTES_BLOCK, end = scratch + <usize>blocks * BYTES_TILE;
  for (; groups > 0; groups--) {
    unpack(w, scratch, end);
    w += <usize>blocks * Q4_TILE;
    let p0 = x, out = y;
    for (let t = 0; t < tokens; t += 4) {
      let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0;
      let p1 = p0 + xStride, p2 = p1 + xStride, p3 = p2 + xStride;
      for (let q = scratch; q != end; q += BYTES_TILE) {
        let a0 = v128.load32_splat(p0, 36), a1 = v128.load32_splat(p1, 36), a2 = v128.load32_splat(p2, 36), a3 = v128.load32_splat(p3, 36);
        let b0 = a0, b1 = a1, b2 = a2, b3 = a3, xv: v128, wa: v128, wb: v128;
        let x0 = v128.load(p0, 0), x1 = v128.load(p1, 0), x2 = v128.load(p2, 0), x3 = v128.load(p3, 0);
        wa = v128.load(q, 0); wb = v128.load(q, 16);
        xv = spread0(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread0(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread0(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread0(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 32); wb = v128.load(q, 48);
        xv = spread1(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread1(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread1(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread1(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 64); wb = v128.load(q, 80);
        xv = spread2(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread2(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread2(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread2(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 96); wb = v128.load(q, 112);
        xv = spread3(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread3(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread3(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread3(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        x0 = v128.load(p0, 16); x1 = v128.load(p1, 16); x2 = v128.load(p2, 16); x3 = v128.load(p3, 16);
        wa = v128.load(q, 128); wb = v128.load(q, 144);
        xv = spread0(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread0(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread0(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread0(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 160); wb = v128.load(q, 176);
        xv = spread1(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread1(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread1(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread1(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 192); wb = v128.load(q, 208);
        xv = spread2(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread2(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread2(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread2(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 224); wb = v128.load(q, 240);
        xv = spread3(x0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = spread3(x1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = spread3(x2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = spread3(x3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 256); wb = v128.load(q, 272);
        xv = v128.load32_splat(p0, 32); f0 = addBlock(f0, a0, one, f32x4.mul(wa, xv)); g0 = addBlock(g0, b0, one, f32x4.mul(wb, xv));
        xv = v128.load32_splat(p1, 32); f1 = addBlock(f1, a1, one, f32x4.mul(wa, xv)); g1 = addBlock(g1, b1, one, f32x4.mul(wb, xv));
        xv = v128.load32_splat(p2, 32); f2 = addBlock(f2, a2, one, f32x4.mul(wa, xv)); g2 = addBlock(g2, b2, one, f32x4.mul(wb, xv));
        xv = v128.load32_splat(p3, 32); f3 = addBlock(f3, a3, one, f32x4.mul(wa, xv)); g3 = addBlock(g3, b3, one, f32x4.mul(wb, xv));
        p0 += BYTES_BLOCK; p1 += BYTES_BLOCK; p2 += BYTES_BLOCK; p3 += BYTES_BLOCK;
      }
      v128.store(out, f0); v128.store(out, g0, 16); out += yStride;
      v128.store(out, f1); v128.store(out, g1, 16); out += yStride;
      v128.store(out, f2); v128.store(out, g2, 16); out += yStride;
      v128.store(out, f3); v128.store(out, g3, 16); out += yStride;
      p0 = p3;
    }
    y += 32;
  }
}

/** Four bytes of x, four times. */
@inline function spread0(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
}

@inline function spread1(x: v128): v128 {
  return i8x16.shuffle(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
}

@inline function spread2(x: v128): v128 {
  return i8x16.shuffle(x, x, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11);
}

@inline function spread3(x: v128): v128 {
  return i8x16.shuffle(x, x, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15);
}
