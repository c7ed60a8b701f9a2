/**
 * Activations rounded to integers per block of 32: scale = max|x| / levels, q = x / scale to nearest (ties to even). The integer kernels multiply them with
 * the integer weights, so a block's sum is exact. q4_0 takes int8 (127 levels), which relaxed SIMD multiplies fastest; q8_0 is multiplied as int16 anyway, so
 * it takes int16 (32767 levels) at no cost: with int8, SmolLM2-135M chooses another token than in float at 4 % of positions.
 *
 * Block formats. `scale` is stored times 2^112: the weights' fp16 scales are turned into floats by two shifts, which leaves them 2^-112 too small.
 * `correction` is what an accumulator starts with: -8 * sum(q), since q4_0 nibbles are stored with an offset of 8.
 */

/** 40 bytes: 32 int8 · scale · i16 correction of k % 4 in {0, 1} · i16 correction of k % 4 in {2, 3}. What relaxed SIMD's dot product wants. */
export const BYTES = 0;
/** 72 bytes: 32 int8 as int16, of each four in the order 0 2 1 3 (the order in which shifts bring up the nibbles) · scale · i32 correction. */
export const NIBBLE_PAIRS = 1;
/** 72 bytes: 32 int16 in order · scale · i32 0. */
export const PAIRS = 2;

export const BYTES_BLOCK: usize = 40;
export const PAIRS_BLOCK: usize = 72;

/** 2^112 */
const SCALE_UP: f32 = reinterpret<f32>(0x77800000);
/** 2^-100: a block below this is zero for every purpose, and its scale would be too small to divide by. */
const TINY: f32 = reinterpret<f32>(0x0d800000);

@inline function magnitude(x: usize): v128 {
  return f32x4.max(f32x4.abs(v128.load(x)), f32x4.abs(v128.load(x, 16)));
}

/** Eight floats over the scale, to the nearest integers. */
@inline function round8(x: usize, scale: v128): v128 {
  return i16x8.narrow_i32x4_s(
    i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.div(v128.load(x), scale))),
    i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.div(v128.load(x, 16), scale))),
  );
}

@inline function interleave(v: v128): v128 {
  return v128.shuffle<i16>(v, v, 0, 2, 1, 3, 4, 6, 5, 7);
}

/** Rounds n floats (a multiple of 32) at x into blocks at out. Block maxima must stay below 8e6 (PAIRS: 2e9), or the stored scale overflows. */
export function quantizeRow(x: usize, out: usize, n: i32, format: i32): void {
  const levels: f32 = format == PAIRS ? 32767 : 127;
  for (let end = x + (<usize>n << 2); x < end; x += 128) {
    const m = f32x4.max(f32x4.max(magnitude(x), magnitude(x + 32)), f32x4.max(magnitude(x + 64), magnitude(x + 96)));
    const largest = max(max(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1)), max(f32x4.extract_lane(m, 2), f32x4.extract_lane(m, 3)));
    const scale = largest < TINY ? <f32>0 : largest / levels;
    const divisor = f32x4.splat(largest < TINY ? <f32>1 : scale);
    const a = round8(x, divisor), b = round8(x + 32, divisor), c = round8(x + 64, divisor), d = round8(x + 96, divisor);
    if (format == PAIRS) {
      storePairs(out, a, b, c, d, scale, 0);
      out += PAIRS_BLOCK;
      continue;
    }
    const sums = i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.add(a, b), i16x8.add(c, d)));
    const first = i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 2);
    const second = i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 3);
    if (format == BYTES) {
      v128.store(out, i8x16.narrow_i16x8_s(a, b));
      v128.store(out, i8x16.narrow_i16x8_s(c, d), 16);
      store<f32>(out, scale * SCALE_UP, 32);
      store<i16>(out, <i16>(-8 * first), 36);
      store<i16>(out, <i16>(-8 * second), 38);
      out += BYTES_BLOCK;
    } else {
      storePairs(out, interleave(a), interleave(b), interleave(c), interleave(d), scale, -8 * (first + second));
      out += PAIRS_BLOCK;
    }
  }
}

@inline function storePairs(out: usize, a: v128, b: v128, c: v128, d: v128, scale: f32, correction: i32): void {
  v128.store(out, a);
  v128.store(out, b, 16);
  v128.store(out, c, 32);
  v128.store(out, d, 48);
  store<f32>(out, scale * SCALE_UP, 64);
  store<i32>(out, correction, 68);
}
