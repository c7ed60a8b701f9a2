/** What attention computes with keys and values that are kept as floats: a head's 64 positions of a page are [64, headDim]. */

/**
 * Scores of two heads over `count` positions (rounded up to 4): to_h[i] = q_h k_i * scale. Lines of keys lie `line` bytes apart. Tiles of 4 positions x 2 heads,
 * each sum in the order of the dimensions, whatever the tile it is in.
 */
export function score(q0: usize, q1: usize, to0: usize, to1: usize, keys: usize, line: usize, count: i32, headDim: i32, scale: f32): void {
  const bytes = <usize>headDim << 2, by = f32x4.splat(scale);
  for (const end = to0 + (<usize>count << 2); to0 < end; to0 += 16, to1 += 16, keys += line << 2) {
    let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
    let k0 = keys, k1 = k0 + line, k2 = k1 + line, k3 = k2 + line;
    for (let i: usize = 0; i < bytes; i += 16) {
      const qa = v128.load(q0 + i), qb = v128.load(q1 + i);
      let k = v128.load(k0 + i); a0 = f32x4.add(a0, f32x4.mul(qa, k)); b0 = f32x4.add(b0, f32x4.mul(qb, k));
      k = v128.load(k1 + i); a1 = f32x4.add(a1, f32x4.mul(qa, k)); b1 = f32x4.add(b1, f32x4.mul(qb, k));
      k = v128.load(k2 + i); a2 = f32x4.add(a2, f32x4.mul(qa, k)); b2 = f32x4.add(b2, f32x4.mul(qb, k));
      k = v128.load(k3 + i); a3 = f32x4.add(a3, f32x4.mul(qa, k)); b3 = f32x4.add(b3, f32x4.mul(qb, k));
    }
    v128.store(to0, f32x4.mul(sums(a0, a1, a2, a3), by));
    v128.store(to1, f32x4.mul(sums(b0, b1, b2, b3), by));
  }
}

/** The sums of the lanes of four vectors. */
@inline function sums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 2, 6), v128.shuffle<f32>(a, b, 1, 5, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 2, 6), v128.shuffle<f32>(c, d, 1, 5, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/**
 * out_h [n] = out_h * keep_h + sum over `count` positions of weights_h[i] * values[i], for two heads; lines of values lie `line` bytes apart. n is a multiple of 4.
 * When both are one and the same, what is computed as the first counts.
 */
export function addValues(
  out0: usize, out1: usize, keep0: f32, keep1: f32, weights0: usize, weights1: usize, values: usize, line: usize, count: i32, n: i32,
): void {
  const ka = f32x4.splat(keep0), kb = f32x4.splat(keep1), end = out0 + (<usize>n << 2), last = <usize>count << 2;
  for (; out0 + 64 <= end; out0 += 64, out1 += 64, values += 64) {
    let a0 = f32x4.mul(v128.load(out0), ka), a1 = f32x4.mul(v128.load(out0, 16), ka), a2 = f32x4.mul(v128.load(out0, 32), ka), a3 = f32x4.mul(v128.load(out0, 48), ka);
    let b0 = f32x4.mul(v128.load(out1), kb), b1 = f32x4.mul(v128.load(out1, 16), kb), b2 = f32x4.mul(v128.load(out1, 32), kb), b3 = f32x4.mul(v128.load(out1, 48), kb);
    for (let i: usize = 0, v = values; i != last; i += 4, v += line) {
      const pa = v128.load32_splat(weights0 + i), pb = v128.load32_splat(weights1 + i);
      let x = v128.load(v); a0 = f32x4.add(a0, f32x4.mul(x, pa)); b0 = f32x4.add(b0, f32x4.mul(x, pb));
      x = v128.load(v, 16); a1 = f32x4.add(a1, f32x4.mul(x, pa)); b1 = f32x4.add(b1, f32x4.mul(x, pb));
      x = v128.load(v, 32); a2 = f32x4.add(a2, f32x4.mul(x, pa)); b2 = f32x4.add(b2, f32x4.mul(x, pb));
      x = v128.load(v, 48); a3 = f32x4.add(a3, f32x4.mul(x, pa)); b3 = f32x4.add(b3, f32x4.mul(x, pb));
    }
    v128.store(out1, b0); v128.store(out1, b1, 16); v128.store(out1, b2, 32); v128.store(out1, b3, 48);
    v128.store(out0, a0); v128.store(out0, a1, 16); v128.store(out0, a2, 32); v128.store(out0, a3, 48);
  }
  for (; out0 < end; out0 += 16, out1 += 16, values += 16) {
    let a = f32x4.mul(v128.load(out0), ka), b = f32x4.mul(v128.load(out1), kb);
    for (let i: usize = 0, v = values; i != last; i += 4, v += line) {
      const x = v128.load(v);
      a = f32x4.add(a, f32x4.mul(x, v128.load32_splat(weights0 + i))); b = f32x4.add(b, f32x4.mul(x, v128.load32_splat(weights1 + i)));
    }
    v128.store(out1, b); v128.store(out0, a);
  }
}
