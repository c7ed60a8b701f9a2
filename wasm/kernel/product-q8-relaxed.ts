/**
 * y = W x with q8_0 weights and int8 activations (the bytes of quads of quantize.ts), by relaxed SIMD's dot products of int8 and int7. Here the weights are the int8
 * operand, whatever their value, and the activations become two numbers of 7 bits each, so that the result is the same on every machine. For where q8_0 shares its
 * input with q4_0, which has rounded it to int8 already. Sums of blocks are added in order, as in product-q8.ts.
 */
import { BYTES_QUAD } from './quantize';
import { HALF_MASK, Q8_TILE, scalesHigh, scalesLow, spread0, spread1, spread2, spread3 } from './tile';

/** Even where a processor adds pairs in int16 first: 2 * 128 * 127 fits. */
@inline function dot(a: v128, x: v128, w: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, a);
}

/** Four columns of rows 0..3, from the two vectors that hold two columns of eight rows each. */
@inline function rowsLow(v: v128, u: v128): v128 {
  return v128.shuffle<i16>(v, u, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The same of rows 4..7. */
@inline function rowsHigh(v: v128, u: v128): v128 {
  return v128.shuffle<i16>(v, u, 4, 12, 5, 13, 6, 14, 7, 15);
}

@inline function addBlock(f: v128, a: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(a), scale));
}

/** Token 0 of a quad: w * x = w * max(x, 0) - w * max(-x, 0). Two row groups at once, from the two halves of the rows, as gemvQ4 does. */
export function gemvQ8Bytes(w: usize, x: usize, y: usize, groups: i32, blocks: i32): void {
  const zero = i32x4.splat(0), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD, half = <usize>(groups + 1 >> 1);
  // An odd group in the middle is computed twice.
  let w0 = w, w1 = w + (<usize>groups - half) * <usize>blocks * Q8_TILE;
  for (const end = y + (half << 5), apart = <usize>groups - half << 5; y != end; y += 32) {
    let f0 = zero, g0 = zero, f1 = zero, g1 = zero;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let a0 = zero, b0 = zero, c0 = zero, d0 = zero, a1 = zero, b1 = zero, c1 = zero, d1 = zero;
      let v: v128, u: v128, wa: v128, wb: v128, xv: v128, xp: v128, xn: v128;
      xv = v128.load32_splat(p); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0); u = v128.load(w0, 16); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1); u = v128.load(w1, 16); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 16); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 32); u = v128.load(w0, 48); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 32); u = v128.load(w1, 48); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 32); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 64); u = v128.load(w0, 80); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 64); u = v128.load(w1, 80); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 48); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 96); u = v128.load(w0, 112); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 96); u = v128.load(w1, 112); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 64); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 128); u = v128.load(w0, 144); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 128); u = v128.load(w1, 144); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 80); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 160); u = v128.load(w0, 176); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 160); u = v128.load(w1, 176); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 96); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 192); u = v128.load(w0, 208); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 192); u = v128.load(w1, 208); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 112); xp = i8x16.max_s(xv, zero); xn = i8x16.sub(xp, xv);
      v = v128.load(w0, 224); u = v128.load(w0, 240); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a0 = dot(a0, xp, wa); c0 = dot(c0, xn, wa); b0 = dot(b0, xp, wb); d0 = dot(d0, xn, wb);
      v = v128.load(w1, 224); u = v128.load(w1, 240); wa = rowsLow(v, u); wb = rowsHigh(v, u);
      a1 = dot(a1, xp, wa); c1 = dot(c1, xn, wa); b1 = dot(b1, xp, wb); d1 = dot(d1, xn, wb);
      xv = v128.load32_splat(p, 128);
      v = v128.load(w0, 256); f0 = addBlock(f0, i32x4.sub(a0, c0), f32x4.mul(scalesLow(v, mask), xv)); g0 = addBlock(g0, i32x4.sub(b0, d0), f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w1, 256); f1 = addBlock(f1, i32x4.sub(a1, c1), f32x4.mul(scalesLow(v, mask), xv)); g1 = addBlock(g1, i32x4.sub(b1, d1), f32x4.mul(scalesHigh(v, mask), xv));
      w0 += Q8_TILE; w1 += Q8_TILE;
    }
    v128.store(y, f0); v128.store(y, g0, 16); v128.store(y + apart, f1); v128.store(y + apart, g1, 16);
  }
}

/**
 * The four tokens of a quad, one row group at a time: w * x = w * xa + w * xb - w * 127, where xa and xb are the halves of x + 127, which need no sums of their own. Lines
 * of y lie `line` bytes apart.
 */
export function quadQ8Bytes(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize): void {
  const zero = i32x4.splat(0), most = i8x16.splat(127), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD;
  for (; groups > 0; groups--) {
    let f0 = zero, g0 = zero, f1 = zero, g1 = zero, f2 = zero, g2 = zero, f3 = zero, g3 = zero;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let a0 = zero, b0 = zero, a1 = zero, b1 = zero, a2 = zero, b2 = zero, a3 = zero, b3 = zero, s = zero, t = zero;
      let v: v128, wa: v128, wb: v128, xs: v128, xa: v128, xb: v128;
      xs = i8x16.add(v128.load(p), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w); wb = v128.load(w, 16); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 16), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 32); wb = v128.load(w, 48); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 32), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 64); wb = v128.load(w, 80); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 48), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 96); wb = v128.load(w, 112); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 64), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 128); wb = v128.load(w, 144); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 80), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 160); wb = v128.load(w, 176); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 96), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 192); wb = v128.load(w, 208); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = i8x16.add(v128.load(p, 112), most); xa = i8x16.avgr_u(xs, zero); xb = i8x16.sub(xs, xa);
      v = v128.load(w, 224); wb = v128.load(w, 240); wa = rowsLow(v, wb); wb = rowsHigh(v, wb);
      s = dot(s, most, wa); t = dot(t, most, wb);
      xs = spread0(xa); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb); xs = spread0(xb); a0 = dot(a0, xs, wa); b0 = dot(b0, xs, wb);
      xs = spread1(xa); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb); xs = spread1(xb); a1 = dot(a1, xs, wa); b1 = dot(b1, xs, wb);
      xs = spread2(xa); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb); xs = spread2(xb); a2 = dot(a2, xs, wa); b2 = dot(b2, xs, wb);
      xs = spread3(xa); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb); xs = spread3(xb); a3 = dot(a3, xs, wa); b3 = dot(b3, xs, wb);
      xs = v128.load(p, 128); wb = v128.load(w, 256); wa = scalesLow(wb, mask); wb = scalesHigh(wb, mask);
      v = spread0(xs); f0 = addBlock(f0, i32x4.sub(a0, s), f32x4.mul(wa, v)); g0 = addBlock(g0, i32x4.sub(b0, t), f32x4.mul(wb, v));
      v = spread1(xs); f1 = addBlock(f1, i32x4.sub(a1, s), f32x4.mul(wa, v)); g1 = addBlock(g1, i32x4.sub(b1, t), f32x4.mul(wb, v));
      v = spread2(xs); f2 = addBlock(f2, i32x4.sub(a2, s), f32x4.mul(wa, v)); g2 = addBlock(g2, i32x4.sub(b2, t), f32x4.mul(wb, v));
      v = spread3(xs); f3 = addBlock(f3, i32x4.sub(a3, s), f32x4.mul(wa, v)); g3 = addBlock(g3, i32x4.sub(b3, t), f32x4.mul(wb, v));
      w += Q8_TILE;
    }
    let out = y;
    v128.store(out, f0); v128.store(out, g0, 16); out += line;
    v128.store(out, f1); v128.store(out, g1, 16); out += line;
    v128.store(out, f2); v128.store(out, g2, 16); out += line;
    v128.store(out, f3); v128.store(out, g3, 16);
    y += 32;
  }
}
