/**
 * y = W x with q4_0 weights and int8 activations (quads of quantize.ts), by relaxed SIMD's dot products of int8 and int7. The weights' nibbles (0..15) are the
 * int7 operand, so the result is the same on every machine. Sums of blocks are added in order as f32(sum) * (weight scale * activation scale), without fused
 * multiply-adds, whose rounding machines differ in.
 *
 * Every function exists twice, with a block's sums in int16 or in int32 lanes (`S`); which is faster depends on the processor, and `int32SumsAreFaster` tells. A sum in
 * int16 is kept in two lanes, of k % 4 in {0, 1} and in {2, 3}: from -8 * sum(x) on, no partial sum exceeds 8 * 16 * 127.
 *
 * Written out by hand, without loops over what is constant: the order of the statements is the order of the instructions, and V8 keeps it.
 */
import { BYTES_QUAD } from './quantize';
import { HALF_MASK, Q4_TILE, scalesHigh, scalesLow, spread0, spread1, spread2, spread3 } from './tile';

/** a + the sums of four products each, of x (int8) and w (int7). */
@inline export function dot<S>(a: v128, x: v128, w: v128): v128 {
  if (sizeof<S>() == 4) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, a);
  return i16x8.add(a, i16x8.relaxed_dot_i8x16_i7x16_s(x, w));
}

/** The upper nibbles of bytes. */
@inline export function high(v: v128, m: v128): v128 {
  return v128.and(i16x8.shr_u(v, 4), m);
}

/** f + a block's sums times its scale. `one`: 1 in all lanes of int16. */
@inline export function addBlock<S>(f: v128, a: v128, one: v128, scale: v128): v128 {
  if (sizeof<S>() == 2) a = i32x4.dot_i16x8_s(a, one);
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(a), scale));
}

/**
 * Whether the processor has a dot product of bytes that adds four products to an int32 (x86's VNNI, Arm's SDOT), seen by the one thing that is left open in relaxed
 * SIMD: what it makes of a second operand with its highest bit set. Processors without one add pairs in int16 first, and these saturate: 2 * 32767.
 */
export function int32SumsAreFaster(): bool {
  const dots = i32x4.relaxed_dot_i8x16_i7x16_add_s(i8x16.splat(127), i8x16.splat(-1), i32x4.splat(0));
  return i32x4.extract_lane(dots, 0) != 65534;
}

/**
 * Token 0 of a quad. Two row groups at once, from the two halves of the rows: long runs of memory, which processors fetch ahead; runs of a group's length, one
 * next to the other, took twice as long on Zen 5.
 */
export function gemvQ4<S>(w: usize, x: usize, y: usize, groups: i32, blocks: i32): void {
  const m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD, half = <usize>(groups + 1 >> 1);
  // An odd group in the middle is computed twice.
  let w0 = w, w1 = w + (<usize>groups - half) * <usize>blocks * Q4_TILE;
  for (const end = y + (half << 5), apart = <usize>groups - half << 5; y != end; y += 32) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let a0 = v128.load32_splat(p, 144), b0 = a0, a1 = a0, b1 = a0, v: v128, xv: v128;
      xv = v128.load32_splat(p, 0);
      v = v128.load(w0, 0); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 0); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 16);
      v = v128.load(w0, 16); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 16); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 32);
      v = v128.load(w0, 32); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 32); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 48);
      v = v128.load(w0, 48); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 48); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 64);
      v = v128.load(w0, 64); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 64); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 80);
      v = v128.load(w0, 80); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 80); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 96);
      v = v128.load(w0, 96); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 96); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 112);
      v = v128.load(w0, 112); a0 = dot<S>(a0, xv, v128.and(v, m)); b0 = dot<S>(b0, xv, high(v, m));
      v = v128.load(w1, 112); a1 = dot<S>(a1, xv, v128.and(v, m)); b1 = dot<S>(b1, xv, high(v, m));
      xv = v128.load32_splat(p, 128);
      v = v128.load(w0, 128); f0 = addBlock<S>(f0, a0, one, f32x4.mul(scalesLow(v, mask), xv)); g0 = addBlock<S>(g0, b0, one, f32x4.mul(scalesHigh(v, mask), xv));
      v = v128.load(w1, 128); f1 = addBlock<S>(f1, a1, one, f32x4.mul(scalesLow(v, mask), xv)); g1 = addBlock<S>(g1, b1, one, f32x4.mul(scalesHigh(v, mask), xv));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    v128.store(y, f0); v128.store(y, g0, 16); v128.store(y + apart, f1); v128.store(y + apart, g1, 16);
  }
}

/** Tokens 0 and 1 of a quad, two row groups at once in the same way. Lines of y lie `line` bytes apart. */
export function pairQ4<S>(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize): void {
  const m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD, half = <usize>(groups + 1 >> 1);
  let w0 = w, w1 = w + (<usize>groups - half) * <usize>blocks * Q4_TILE;
  for (const end = y + (half << 5), apart = <usize>groups - half << 5; y != end; y += 32) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let v = v128.load(p, 144), xa: v128, xb: v128, wa: v128, wb: v128;
      let a0 = spread0(v), b0 = a0, a1 = spread1(v), b1 = a1, a2 = a0, b2 = a0, a3 = a1, b3 = a1;
      v = v128.load(p, 0); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 0); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 0); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 16); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 16); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 16); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 32); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 32); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 32); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 48); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 48); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 48); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 64); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 64); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 64); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 80); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 80); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 80); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 96); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 96); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 96); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 112); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 112); wa = v128.and(v, m); wb = high(v, m);
      a0 = dot<S>(a0, xa, wa); b0 = dot<S>(b0, xa, wb); a1 = dot<S>(a1, xb, wa); b1 = dot<S>(b1, xb, wb);
      v = v128.load(w1, 112); wa = v128.and(v, m); wb = high(v, m);
      a2 = dot<S>(a2, xa, wa); b2 = dot<S>(b2, xa, wb); a3 = dot<S>(a3, xb, wa); b3 = dot<S>(b3, xb, wb);
      v = v128.load(p, 128); xa = spread0(v); xb = spread1(v);
      v = v128.load(w0, 128); wa = scalesLow(v, mask); wb = scalesHigh(v, mask);
      f0 = addBlock<S>(f0, a0, one, f32x4.mul(wa, xa)); g0 = addBlock<S>(g0, b0, one, f32x4.mul(wb, xa));
      f1 = addBlock<S>(f1, a1, one, f32x4.mul(wa, xb)); g1 = addBlock<S>(g1, b1, one, f32x4.mul(wb, xb));
      v = v128.load(w1, 128); wa = scalesLow(v, mask); wb = scalesHigh(v, mask);
      f2 = addBlock<S>(f2, a2, one, f32x4.mul(wa, xa)); g2 = addBlock<S>(g2, b2, one, f32x4.mul(wb, xa));
      f3 = addBlock<S>(f3, a3, one, f32x4.mul(wa, xb)); g3 = addBlock<S>(g3, b3, one, f32x4.mul(wb, xb));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    let out = y;
    v128.store(out, f0); v128.store(out, g0, 16); v128.store(out + apart, f2); v128.store(out + apart, g2, 16); out += line;
    v128.store(out, f1); v128.store(out, g1, 16); v128.store(out + apart, f3); v128.store(out + apart, g3, 16);
  }
}

/**
 * The four tokens of a quad, one row group at a time. Lines of y lie `line` bytes apart. Two tokens' words are spread by shuffles and two by loads: either alone is slower by 2 to 6 %, as
 * shuffles take turns with dot products, and loads with the checks of their bounds.
 */
export function quadQ4<S>(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize): void {
  const m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD;
  for (; groups > 0; groups--) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let xs = v128.load(p, 144), xv: v128, wa: v128, wb: v128;
      let a0 = spread0(xs), b0 = a0, a1 = spread1(xs), b1 = a1, a2 = spread2(xs), b2 = a2, a3 = spread3(xs), b3 = a3;
      xs = v128.load(p, 0); wb = v128.load(w, 0); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 8); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 12); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 16); wb = v128.load(w, 16); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 24); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 28); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 32); wb = v128.load(w, 32); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 40); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 44); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 48); wb = v128.load(w, 48); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 56); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 60); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 64); wb = v128.load(w, 64); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 72); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 76); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 80); wb = v128.load(w, 80); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 88); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 92); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 96); wb = v128.load(w, 96); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 104); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 108); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 112); wb = v128.load(w, 112); wa = v128.and(wb, m); wb = high(wb, m);
      xv = spread0(xs); a0 = dot<S>(a0, xv, wa); b0 = dot<S>(b0, xv, wb);
      xv = spread1(xs); a1 = dot<S>(a1, xv, wa); b1 = dot<S>(b1, xv, wb);
      xv = v128.load32_splat(p, 120); a2 = dot<S>(a2, xv, wa); b2 = dot<S>(b2, xv, wb);
      xv = v128.load32_splat(p, 124); a3 = dot<S>(a3, xv, wa); b3 = dot<S>(b3, xv, wb);
      xs = v128.load(p, 128); wb = v128.load(w, 128); wa = scalesLow(wb, mask); wb = scalesHigh(wb, mask);
      xv = spread0(xs); f0 = addBlock<S>(f0, a0, one, f32x4.mul(wa, xv)); g0 = addBlock<S>(g0, b0, one, f32x4.mul(wb, xv));
      xv = spread1(xs); f1 = addBlock<S>(f1, a1, one, f32x4.mul(wa, xv)); g1 = addBlock<S>(g1, b1, one, f32x4.mul(wb, xv));
      xv = spread2(xs); f2 = addBlock<S>(f2, a2, one, f32x4.mul(wa, xv)); g2 = addBlock<S>(g2, b2, one, f32x4.mul(wb, xv));
      xv = spread3(xs); f3 = addBlock<S>(f3, a3, one, f32x4.mul(wa, xv)); g3 = addBlock<S>(g3, b3, one, f32x4.mul(wb, xv));
      w += Q4_TILE;
    }
    let out = y;
    v128.store(out, f0); v128.store(out, g0, 16); out += line;
    v128.store(out, f1); v128.store(out, g1, 16); out += line;
    v128.store(out, f2); v128.store(out, g2, 16); out += line;
    v128.store(out, f3); v128.store(out, g3, 16);
    y += 32;
  }
}
