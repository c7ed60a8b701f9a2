/**
 * Activations rounded to integers per block of 32: scale = max|x| / levels, q = x / scale to nearest (ties to even). The integer kernels multiply them with
 * the integer weights, so a block's sum is exact. q4_0 takes int8 (127 levels), which relaxed SIMD multiplies fastest; q8_0 is multiplied as int16 anyway, so
 * it takes int16 (32767 levels) at no cost: with int8, SmolLM2-135M chooses another token than in float at 4 % of positions. Only where a q4_0 matrix has the same
 * input does q8_0 take its int8: to round once more would cost more than it brings.
 *
 * Four tokens lie together in a quad: words of 4 bytes, each with its place for tokens 0 to 3, so that one load brings what four tokens need. Last come the
 * scale and the correction of each. `scale` is stored times 2^112: the weights' fp16 scales are turned into floats by two shifts, which leaves them 2^-112 too
 * small. `correction` is what an accumulator starts with: -8 * sum(q), since q4_0 nibbles are stored with an offset of 8.
 */

/** 32 int8 in words of 4; correction in i32. What relaxed SIMD's dot products want, with sums in int32. */
export const BYTES: i32 = 0;
/** The same with sums in int16: correction as two i16, of k % 4 in {0, 1} and of k % 4 in {2, 3}. */
export const BYTES_SPLIT: i32 = 1;
/** 32 int8 as int16 in words of 2, of each four in the order 0 2 1 3 (the order in which shifts bring up the nibbles); correction in i32. */
export const NIBBLE_PAIRS: i32 = 2;
/** 32 int16 in words of 2, in order; correction 0. */
export const PAIRS: i32 = 3;

/** Bytes of a quad for each 32 columns. */
export const BYTES_QUAD: usize = 160;
export const PAIRS_QUAD: usize = 288;

/** 2^112 */
const SCALE_UP: f32 = reinterpret<f32>(0x77800000);
/** 2^-100: a block below this is zero for every purpose, and its scale would be too small to divide by. */
const TINY: f32 = reinterpret<f32>(0x0d800000);

/** 1.5 * 2^23: a float of less than 2^22 plus this is rounded to an integer (ties to even), which is the difference of the two's bits. */
const ROUND: f32 = 12582912;

/** The larger magnitudes of eight floats, by their bits: those of floats without a sign are in order as integers, and a maximum of floats takes several instructions. */
@inline function magnitude(x: usize, unsigned: v128): v128 {
  return i32x4.max_s(v128.and(v128.load(x), unsigned), v128.and(v128.load(x, 16), unsigned));
}

/** Magnitudes below 2^22 to the nearest integers. In the plain build by the instructions for it, which are slower: with fewer, V8's revectorizer (product-q4-wide.ts) gets `interleave` wrong. */
@inline function round4(x: v128, round: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.sub(f32x4.add(x, round), round) : i32x4.trunc_sat_f32x4_s(f32x4.nearest(x));
}

/** Eight floats over the scale, to the nearest integers. */
@inline function round8(x: usize, scale: v128, round: v128): v128 {
  return i16x8.narrow_i32x4_s(round4(f32x4.div(v128.load(x), scale), round), round4(f32x4.div(v128.load(x, 16), scale), round));
}

@inline function interleave(v: v128): v128 {
  return v128.shuffle<i16>(v, v, 0, 2, 1, 3, 4, 6, 5, 7);
}

/**
 * Rounds n floats (a multiple of 32) at x into a token's place in a quad: `out` is the quad's address plus 4 times the token's number in it. Block maxima must stay
 * below 8e6 (PAIRS: 2e9), or the stored scale overflows.
 */
export function quantizeRow(x: usize, out: usize, n: i32, format: i32): void {
  const levels: f32 = format == PAIRS ? 32767 : 127;
  const unsigned = i32x4.splat(0x7fffffff), round = f32x4.splat(ROUND);
  for (let end = x + (<usize>n << 2); x < end; x += 128) {
    let m = i32x4.max_s(i32x4.max_s(magnitude(x, unsigned), magnitude(x + 32, unsigned)), i32x4.max_s(magnitude(x + 64, unsigned), magnitude(x + 96, unsigned)));
    m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
    m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
    const largest = f32x4.extract_lane(m, 0);
    const scale = largest < TINY ? <f32>0 : largest / levels;
    const divisor = f32x4.splat(largest < TINY ? <f32>1 : scale);
    const a = round8(x, divisor, round), b = round8(x + 32, divisor, round), c = round8(x + 64, divisor, round), d = round8(x + 96, divisor, round);
    const sums = i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.add(a, b), i16x8.add(c, d)));
    const first = -8 * (i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 2));
    const second = -8 * (i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 3));
    if (format <= BYTES_SPLIT) {
      storeWords(out, i8x16.narrow_i16x8_s(a, b));
      storeWords(out + 64, i8x16.narrow_i16x8_s(c, d));
      store<f32>(out, scale * SCALE_UP, 128);
      store<i32>(out, format == BYTES ? first + second : (first & 0xffff) | (second << 16), 144);
      out += BYTES_QUAD;
      continue;
    }
    const inOrder = ASC_FEATURE_RELAXED_SIMD || format == PAIRS;
    storeWords(out, inOrder ? a : interleave(a));
    storeWords(out + 64, inOrder ? b : interleave(b));
    storeWords(out + 128, inOrder ? c : interleave(c));
    storeWords(out + 192, inOrder ? d : interleave(d));
    store<f32>(out, scale * SCALE_UP, 256);
    store<i32>(out, inOrder ? 0 : first + second, 272);
    out += PAIRS_QUAD;
  }
}

/** Four words, each to the token's place. */
@inline function storeWords(out: usize, v: v128): void {
  v128.store32_lane(out, v, 0);
  v128.store32_lane(out, v, 1, 16);
  v128.store32_lane(out, v, 2, 32);
  v128.store32_lane(out, v, 3, 48);
}
