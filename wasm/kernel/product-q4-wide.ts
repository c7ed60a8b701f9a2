/**
 * gemvQ4, pairQ4 and quadQ4 of product-q4-relaxed.ts, to the bit, for a compiler that makes one 256-bit instruction of two equal 128-bit ones (V8's
 * `--experimental-wasm-revectorize`, which node-kernel.ts sets): twice as fast there. Elsewhere they need more registers than there are, and are 0 to 12 % slower.
 *
 * Such a compiler begins at two stores next to each other and goes back from what they store, as long as both sides do the same; so everything is done for two row
 * groups, and rows 0..3 of both are stored next to each other in `sums` (64 bytes a token) before they go where they belong. Both sides must begin with the same constant.
 */
import { addBlock, dot, high } from './product-q4-relaxed';
import { BYTES_QUAD } from './quantize';
import { HALF_MASK, Q4_TILE, scalesHigh, scalesLow } from './tile';

/** One token's four vectors of `sums` to the first and the second row group's place. */
@inline function place(sums: usize, y: usize, apart: usize): void {
  v128.store(y, v128.load(sums)); v128.store(y + apart, v128.load(sums, 16)); v128.store(y, v128.load(sums, 32), 16); v128.store(y + apart, v128.load(sums, 48), 16);
}

/** Token 0 of a quad. Two row groups at once, from the two halves of the rows, as gemvQ4. */
export function gemvQ4Wide<S>(w: usize, x: usize, y: usize, groups: i32, blocks: i32, sums: usize): void {
  const zero = i32x4(0, 0, 0, 0), m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD, half = <usize>(groups + 1 >> 1);
  // An odd group in the middle is computed twice.
  let w0 = w, w1 = w + (<usize>groups - half) * <usize>blocks * Q4_TILE;
  for (const end = y + (half << 5), apart = <usize>groups - half << 5; y != end; y += 32) {
    let f00 = zero, f01 = zero, g00 = zero, g01 = zero;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let v0: v128, v1: v128, h0: v128, h1: v128, xv: v128;
      let a00 = v128.load32_splat(p, 144), a01 = a00, b00 = a00, b01 = a00;
      v0 = v128.load(w0, 0); v1 = v128.load(w1, 0); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 0); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 16); v1 = v128.load(w1, 16); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 16); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 32); v1 = v128.load(w1, 32); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 32); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 48); v1 = v128.load(w1, 48); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 48); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 64); v1 = v128.load(w1, 64); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 64); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 80); v1 = v128.load(w1, 80); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 80); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 96); v1 = v128.load(w1, 96); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 96); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 112); v1 = v128.load(w1, 112); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 112); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      v0 = v128.load(w0, 128); v1 = v128.load(w1, 128); h0 = scalesHigh(v0, mask); h1 = scalesHigh(v1, mask); v0 = scalesLow(v0, mask); v1 = scalesLow(v1, mask);
      xv = v128.load32_splat(p, 128);
      f00 = addBlock<S>(f00, a00, one, f32x4.mul(v0, xv)); f01 = addBlock<S>(f01, a01, one, f32x4.mul(v1, xv));
      g00 = addBlock<S>(g00, b00, one, f32x4.mul(h0, xv)); g01 = addBlock<S>(g01, b01, one, f32x4.mul(h1, xv));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    v128.store(sums, f00, 0); v128.store(sums, f01, 16); v128.store(sums, g00, 32); v128.store(sums, g01, 48);
    place(sums, y, apart);
  }
}

/** Tokens 0 and 1 of a quad. Lines of y lie `line` bytes apart. */
export function pairQ4Wide<S>(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize, sums: usize): void {
  const zero = i32x4(0, 0, 0, 0), m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD, half = <usize>(groups + 1 >> 1);
  let w0 = w, w1 = w + (<usize>groups - half) * <usize>blocks * Q4_TILE;
  for (const end = y + (half << 5), apart = <usize>groups - half << 5; y != end; y += 32) {
    let f00 = zero, f01 = zero, g00 = zero, g01 = zero, f10 = zero, f11 = zero, g10 = zero, g11 = zero;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let v0: v128, v1: v128, h0: v128, h1: v128, xv: v128;
      let a00 = v128.load32_splat(p, 144), a01 = a00, b00 = a00, b01 = a00;
      let a10 = v128.load32_splat(p, 148), a11 = a10, b10 = a10, b11 = a10;
      v0 = v128.load(w0, 0); v1 = v128.load(w1, 0); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 0); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 4); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 16); v1 = v128.load(w1, 16); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 16); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 20); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 32); v1 = v128.load(w1, 32); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 32); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 36); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 48); v1 = v128.load(w1, 48); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 48); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 52); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 64); v1 = v128.load(w1, 64); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 64); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 68); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 80); v1 = v128.load(w1, 80); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 80); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 84); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 96); v1 = v128.load(w1, 96); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 96); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 100); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 112); v1 = v128.load(w1, 112); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 112); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 116); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      v0 = v128.load(w0, 128); v1 = v128.load(w1, 128); h0 = scalesHigh(v0, mask); h1 = scalesHigh(v1, mask); v0 = scalesLow(v0, mask); v1 = scalesLow(v1, mask);
      xv = v128.load32_splat(p, 128);
      f00 = addBlock<S>(f00, a00, one, f32x4.mul(v0, xv)); f01 = addBlock<S>(f01, a01, one, f32x4.mul(v1, xv));
      g00 = addBlock<S>(g00, b00, one, f32x4.mul(h0, xv)); g01 = addBlock<S>(g01, b01, one, f32x4.mul(h1, xv));
      xv = v128.load32_splat(p, 132);
      f10 = addBlock<S>(f10, a10, one, f32x4.mul(v0, xv)); f11 = addBlock<S>(f11, a11, one, f32x4.mul(v1, xv));
      g10 = addBlock<S>(g10, b10, one, f32x4.mul(h0, xv)); g11 = addBlock<S>(g11, b11, one, f32x4.mul(h1, xv));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    v128.store(sums, f00, 0); v128.store(sums, f01, 16); v128.store(sums, g00, 32); v128.store(sums, g01, 48);
    v128.store(sums, f10, 64); v128.store(sums, f11, 80); v128.store(sums, g10, 96); v128.store(sums, g11, 112);
    place(sums, y, apart); place(sums + 64, y + line, apart);
  }
}

/** The four tokens of a quad. Lines of y lie `line` bytes apart. */
export function quadQ4Wide<S>(w: usize, x: usize, y: usize, groups: i32, blocks: i32, line: usize, sums: usize): void {
  const zero = i32x4(0, 0, 0, 0), m = i8x16.splat(15), one = i16x8.splat(1), mask = i32x4.splat(HALF_MASK);
  const xEnd = x + <usize>blocks * BYTES_QUAD, half = <usize>(groups + 1 >> 1);
  let w0 = w, w1 = w + (<usize>groups - half) * <usize>blocks * Q4_TILE;
  for (const end = y + (half << 5), apart = <usize>groups - half << 5; y != end; y += 32) {
    let f00 = zero, f01 = zero, g00 = zero, g01 = zero, f10 = zero, f11 = zero, g10 = zero, g11 = zero;
    let f20 = zero, f21 = zero, g20 = zero, g21 = zero, f30 = zero, f31 = zero, g30 = zero, g31 = zero;
    for (let p = x; p != xEnd; p += BYTES_QUAD) {
      let v0: v128, v1: v128, h0: v128, h1: v128, xv: v128;
      let a00 = v128.load32_splat(p, 144), a01 = a00, b00 = a00, b01 = a00;
      let a10 = v128.load32_splat(p, 148), a11 = a10, b10 = a10, b11 = a10;
      let a20 = v128.load32_splat(p, 152), a21 = a20, b20 = a20, b21 = a20;
      let a30 = v128.load32_splat(p, 156), a31 = a30, b30 = a30, b31 = a30;
      v0 = v128.load(w0, 0); v1 = v128.load(w1, 0); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 0); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 4); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 8); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 12); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 16); v1 = v128.load(w1, 16); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 16); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 20); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 24); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 28); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 32); v1 = v128.load(w1, 32); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 32); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 36); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 40); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 44); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 48); v1 = v128.load(w1, 48); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 48); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 52); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 56); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 60); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 64); v1 = v128.load(w1, 64); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 64); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 68); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 72); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 76); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 80); v1 = v128.load(w1, 80); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 80); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 84); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 88); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 92); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 96); v1 = v128.load(w1, 96); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 96); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 100); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 104); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 108); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 112); v1 = v128.load(w1, 112); h0 = high(v0, m); h1 = high(v1, m); v0 = v128.and(v0, m); v1 = v128.and(v1, m);
      xv = v128.load32_splat(p, 112); a00 = dot<S>(a00, xv, v0); a01 = dot<S>(a01, xv, v1); b00 = dot<S>(b00, xv, h0); b01 = dot<S>(b01, xv, h1);
      xv = v128.load32_splat(p, 116); a10 = dot<S>(a10, xv, v0); a11 = dot<S>(a11, xv, v1); b10 = dot<S>(b10, xv, h0); b11 = dot<S>(b11, xv, h1);
      xv = v128.load32_splat(p, 120); a20 = dot<S>(a20, xv, v0); a21 = dot<S>(a21, xv, v1); b20 = dot<S>(b20, xv, h0); b21 = dot<S>(b21, xv, h1);
      xv = v128.load32_splat(p, 124); a30 = dot<S>(a30, xv, v0); a31 = dot<S>(a31, xv, v1); b30 = dot<S>(b30, xv, h0); b31 = dot<S>(b31, xv, h1);
      v0 = v128.load(w0, 128); v1 = v128.load(w1, 128); h0 = scalesHigh(v0, mask); h1 = scalesHigh(v1, mask); v0 = scalesLow(v0, mask); v1 = scalesLow(v1, mask);
      xv = v128.load32_splat(p, 128);
      f00 = addBlock<S>(f00, a00, one, f32x4.mul(v0, xv)); f01 = addBlock<S>(f01, a01, one, f32x4.mul(v1, xv));
      g00 = addBlock<S>(g00, b00, one, f32x4.mul(h0, xv)); g01 = addBlock<S>(g01, b01, one, f32x4.mul(h1, xv));
      xv = v128.load32_splat(p, 132);
      f10 = addBlock<S>(f10, a10, one, f32x4.mul(v0, xv)); f11 = addBlock<S>(f11, a11, one, f32x4.mul(v1, xv));
      g10 = addBlock<S>(g10, b10, one, f32x4.mul(h0, xv)); g11 = addBlock<S>(g11, b11, one, f32x4.mul(h1, xv));
      xv = v128.load32_splat(p, 136);
      f20 = addBlock<S>(f20, a20, one, f32x4.mul(v0, xv)); f21 = addBlock<S>(f21, a21, one, f32x4.mul(v1, xv));
      g20 = addBlock<S>(g20, b20, one, f32x4.mul(h0, xv)); g21 = addBlock<S>(g21, b21, one, f32x4.mul(h1, xv));
      xv = v128.load32_splat(p, 140);
      f30 = addBlock<S>(f30, a30, one, f32x4.mul(v0, xv)); f31 = addBlock<S>(f31, a31, one, f32x4.mul(v1, xv));
      g30 = addBlock<S>(g30, b30, one, f32x4.mul(h0, xv)); g31 = addBlock<S>(g31, b31, one, f32x4.mul(h1, xv));
      w0 += Q4_TILE; w1 += Q4_TILE;
    }
    v128.store(sums, f00, 0); v128.store(sums, f01, 16); v128.store(sums, g00, 32); v128.store(sums, g01, 48);
    v128.store(sums, f10, 64); v128.store(sums, f11, 80); v128.store(sums, g10, 96); v128.store(sums, g11, 112);
    v128.store(sums, f20, 128); v128.store(sums, f21, 144); v128.store(sums, g20, 160); v128.store(sums, g21, 176);
    v128.store(sums, f30, 192); v128.store(sums, f31, 208); v128.store(sums, g30, 224); v128.store(sums, g31, 240);
    let out = y;
    place(sums, out, apart); out += line; place(sums + 64, out, apart); out += line; place(sums + 128, out, apart); out += line; place(sums + 192, out, apart);
  }
}
