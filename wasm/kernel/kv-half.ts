/**
 * Keys and values as halves: half the memory, and half of what attention reads. Eight values are four words, value i in the low and value i + 4 in the high 16 bits of
 * word i, so that two shifts and a mask make floats of either. Values below 2^-14 (half's subnormals) become 0 and those beyond 65504 stay there.
 */
import { HALF_MASK } from './tile';

/** 2^112: a float with a half's exponent bits is 2^-112 times too small. */
const SCALE_UP: f32 = reinterpret<f32>(0x77800000);

/** Four floats as halves, to nearest, ties to even, in the low 16 bits. */
@inline function half4(x: v128): v128 {
  const size = v128.and(f32x4.min(f32x4.abs(x), f32x4.splat(65504)), i32x4.splat(0x7fffffff));
  const tie = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(size, i32x4.splat(0xfff)), tie), 13);
  const bits = v128.and(i32x4.sub(rounded, i32x4.splat(112 << 10)), f32x4.ge(size, f32x4.splat(reinterpret<f32>(0x38800000))));
  return v128.or(bits, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
}

/** n floats (a multiple of 8) at x as halves at out. */
export function toHalves(x: usize, out: usize, n: i32): void {
  for (const end = x + (<usize>n << 2); x != end; x += 32, out += 16) {
    v128.store(out, v128.or(half4(v128.load(x)), i32x4.shl(half4(v128.load(x, 16)), 16)));
  }
}

/** And back. */
export function fromHalves(x: usize, out: usize, n: i32): void {
  const mask = i32x4.splat(HALF_MASK), up = f32x4.splat(SCALE_UP);
  for (const end = x + (<usize>n << 1); x != end; x += 16, out += 32) {
    const v = v128.load(x);
    v128.store(out, f32x4.mul(v128.and(i32x4.shr_s(i32x4.shl(v, 16), 3), mask), up));
    v128.store(out, f32x4.mul(v128.and(i32x4.shr_s(v, 3), mask), up), 16);
  }
}
