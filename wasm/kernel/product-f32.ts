/**
 * y = W x with f32 weights, 8-row interleaved: for each k eight floats. A row's sum is taken in the order of k, whatever the number of rows and tokens, so
 * that a position's result never depends on what it was computed together with.
 */

/** One token. `groups` row groups at w, `columns` floats at x, results one after the other at y. */
export function gemvF32(w: usize, x: usize, y: usize, groups: i32, columns: i32): void {
  const xEnd = x + (<usize>columns << 2), stride = <usize>columns << 5;
  // Four row groups at once: eight chains of additions hide each other's latency, and four streams of weights use more of the memory's bandwidth.
  for (; groups >= 4; groups -= 4) {
    let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
    let w0 = w, w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
    for (let p = x; p != xEnd; p += 4) {
      const xv = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(v128.load(w0), xv)); b0 = f32x4.add(b0, f32x4.mul(v128.load(w0, 16), xv));
      a1 = f32x4.add(a1, f32x4.mul(v128.load(w1), xv)); b1 = f32x4.add(b1, f32x4.mul(v128.load(w1, 16), xv));
      a2 = f32x4.add(a2, f32x4.mul(v128.load(w2), xv)); b2 = f32x4.add(b2, f32x4.mul(v128.load(w2, 16), xv));
      a3 = f32x4.add(a3, f32x4.mul(v128.load(w3), xv)); b3 = f32x4.add(b3, f32x4.mul(v128.load(w3, 16), xv));
      w0 += 32; w1 += 32; w2 += 32; w3 += 32;
    }
    v128.store(y, a0); v128.store(y, b0, 16); v128.store(y, a1, 32); v128.store(y, b1, 48);
    v128.store(y, a2, 64); v128.store(y, b2, 80); v128.store(y, a3, 96); v128.store(y, b3, 112);
    y += 128;
    w = w3;
  }
  for (; groups > 0; groups--) {
    let a = f32x4.splat(0), b = a;
    for (let p = x; p != xEnd; p += 4) {
      const xv = v128.load32_splat(p);
      a = f32x4.add(a, f32x4.mul(v128.load(w), xv)); b = f32x4.add(b, f32x4.mul(v128.load(w, 16), xv));
      w += 32;
    }
    v128.store(y, a); v128.store(y, b, 16);
    y += 32;
  }
}

/** `tokens` (a multiple of 4) tokens: tiles of 8 rows x 4 tokens. x lines are `columns` floats apart, y lines `yStride` bytes. */
export function gemmF32(w: usize, x: usize, y: usize, groups: i32, columns: i32, tokens: i32, yStride: usize): void {
  const xStride = <usize>columns << 2;
  for (; groups > 0; groups--) {
    let p0 = x, out = y;
    for (let t = 0; t < tokens; t += 4) {
      let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
      let p1 = p0 + xStride, p2 = p1 + xStride, p3 = p2 + xStride, v = w;
      for (const end = p1; p0 != end; p0 += 4) {
        const wa = v128.load(v), wb = v128.load(v, 16);
        let xv = v128.load32_splat(p0); a0 = f32x4.add(a0, f32x4.mul(wa, xv)); b0 = f32x4.add(b0, f32x4.mul(wb, xv));
        xv = v128.load32_splat(p1); a1 = f32x4.add(a1, f32x4.mul(wa, xv)); b1 = f32x4.add(b1, f32x4.mul(wb, xv));
        xv = v128.load32_splat(p2); a2 = f32x4.add(a2, f32x4.mul(wa, xv)); b2 = f32x4.add(b2, f32x4.mul(wb, xv));
        xv = v128.load32_splat(p3); a3 = f32x4.add(a3, f32x4.mul(wa, xv)); b3 = f32x4.add(b3, f32x4.mul(wb, xv));
        v += 32; p1 += 4; p2 += 4; p3 += 4;
      }
      v128.store(out, a0); v128.store(out, b0, 16); out += yStride;
      v128.store(out, a1); v128.store(out, b1, 16); out += yStride;
      v128.store(out, a2); v128.store(out, b2, 16); out += yStride;
      v128.store(out, a3); v128.store(out, b3, 16); out += yStride;
      p0 = p3;
    }
    y += 32;
    w += xStride << 3;
  }
}
