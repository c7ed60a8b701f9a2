/** Tiles of 8 rows x 4 tokens over weights unpacked to int16: q8_0 always, q4_0 where relaxed SIMD is missing. */
import { PAIRS_BLOCK } from './quantize';
import { PAIRS_TILE } from './tile';

@inline function dot(a: v128, x: v128, w: v128): v128 {
  return i32x4.add(a, i32x4.dot_i16x8_s(w, x));
}

@inline function addBlock(f: v128, a: v128, scale: v128): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(a), scale));
}

/** One unpacked row group from `q` to `end` times `tokens` (a multiple of 4) tokens at x in (NIBBLE_)PAIRS blocks; y lines are `yStride` bytes apart. */
export function multiplyPairs(q: usize, end: usize, x: usize, xStride: usize, y: usize, yStride: usize, tokens: i32): void {
  const start = q;
  let p0 = x;
  for (let t = 0; t < tokens; t += 4) {
    let f0 = i32x4.splat(0), g0 = f0, f1 = f0, g1 = f0, f2 = f0, g2 = f0, f3 = f0, g3 = f0;
    let p1 = p0 + xStride, p2 = p1 + xStride, p3 = p2 + xStride;
    for (q = start; q != end; q += PAIRS_TILE - 512) {
      let a0 = v128.load32_splat(p0, 68), a1 = v128.load32_splat(p1, 68), a2 = v128.load32_splat(p2, 68), a3 = v128.load32_splat(p3, 68);
      let b0 = a0, b1 = a1, b2 = a2, b3 = a3, xv: v128, wa: v128, wb: v128;
      for (const last = p0 + 64; p0 != last; p0 += 8) {
        wa = v128.load(q); wb = v128.load(q, 16);
        xv = v128.load32_splat(p0); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = v128.load32_splat(p1); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = v128.load32_splat(p2); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = v128.load32_splat(p3); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        wa = v128.load(q, 32); wb = v128.load(q, 48);
        xv = v128.load32_splat(p0, 4); a0 = dot(a0, xv, wa); b0 = dot(b0, xv, wb);
        xv = v128.load32_splat(p1, 4); a1 = dot(a1, xv, wa); b1 = dot(b1, xv, wb);
        xv = v128.load32_splat(p2, 4); a2 = dot(a2, xv, wa); b2 = dot(b2, xv, wb);
        xv = v128.load32_splat(p3, 4); a3 = dot(a3, xv, wa); b3 = dot(b3, xv, wb);
        q += 64; p1 += 8; p2 += 8; p3 += 8;
      }
      wa = v128.load(q); wb = v128.load(q, 16);
      xv = v128.load32_splat(p0); f0 = addBlock(f0, a0, f32x4.mul(wa, xv)); g0 = addBlock(g0, b0, f32x4.mul(wb, xv));
      xv = v128.load32_splat(p1); f1 = addBlock(f1, a1, f32x4.mul(wa, xv)); g1 = addBlock(g1, b1, f32x4.mul(wb, xv));
      xv = v128.load32_splat(p2); f2 = addBlock(f2, a2, f32x4.mul(wa, xv)); g2 = addBlock(g2, b2, f32x4.mul(wb, xv));
      xv = v128.load32_splat(p3); f3 = addBlock(f3, a3, f32x4.mul(wa, xv)); g3 = addBlock(g3, b3, f32x4.mul(wb, xv));
      p0 += PAIRS_BLOCK - 64; p1 += PAIRS_BLOCK - 64; p2 += PAIRS_BLOCK - 64; p3 += PAIRS_BLOCK - 64;
    }
    v128.store(y, f0); v128.store(y, g0, 16); y += yStride;
    v128.store(y, f1); v128.store(y, g1, 16); y += yStride;
    v128.store(y, f2); v128.store(y, g2, 16); y += yStride;
    v128.store(y, f3); v128.store(y, g3, 16); y += yStride;
    p0 = p3;
  }
}
