/** Sizes of the weight tiles of 8 rows x 32 k (models/pack/manifest.ts), and their fp16 scales. */
export const Q4_TILE: usize = 144;
export const Q8_TILE: usize = 272;

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

/** A word of one token of a quad (quantize.ts), four times. */
@inline export function spread0(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
}

@inline export function spread1(x: v128): v128 {
  return i8x16.shuffle(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
}

@inline export function spread2(x: v128): v128 {
  return i8x16.shuffle(x, x, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11);
}

@inline export function spread3(x: v128): v128 {
  return i8x16.shuffle(x, x, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15);
}
