/** Sizes of the weight tiles of 8 rows x 32 k (models/pack/manifest.ts) and of their unpacked forms, and their fp16 scales. */
export const Q4_TILE: usize = 144;
export const Q8_TILE: usize = 272;
/** Unpacked to bytes: for each four k, nibbles of rows 0..3 and of rows 4..7; then the eight scales as floats. */
export const BYTES_TILE: usize = 288;
/** Unpacked to int16: for each pair of k, rows 0..3 and rows 4..7; then the eight scales as floats. */
export const PAIRS_TILE: usize = 544;

/** Bits that a half's sign, exponent and fraction take after the shift by 3. */
export const HALF_MASK: u32 = 0x8fffe000;

/** Scales of rows 0..3 (low halves) as floats, 2^-112 times too small. The mask keeps the sign where the arithmetic shift has spread it. */
@inline export function scalesLow(s: v128, mask: v128): v128 {
  return v128.and(i32x4.shr_s(i32x4.shl(s, 16), 3), mask);
}

/** Scales of rows 4..7 (high halves). */
@inline export function scalesHigh(s: v128, mask: v128): v128 {
  return v128.and(i32x4.shr_s(s, 3), mask);
}
