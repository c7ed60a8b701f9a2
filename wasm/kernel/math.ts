/**
 * Elementary functions that give the same bits on every machine: only IEEE additions, multiplications, divisions and roots in a fixed order.
 */

/** What exp4 computes with: constants are loaded faster than made. The last but two is 1.5 * 2^23: a float plus this is rounded to an integer, which its low bits have. */
const EXP = memory.data<f32>([
  88.3, 1.44269504088896341, 0.693359375, -2.12194440e-4, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 12582912, 1, -87.3,
]);

@inline function constant(i: usize): v128 {
  return v128.load32_splat(EXP + (i << 2));
}

/**
 * exp of four floats, about 1 ulp. Argument reduction by ln 2 in two parts and a degree 6 polynomial, coefficients of Cephes' expf (Moshier).
 * Below -87.3 the result is 0; above 88.3 it stays at 2.2e38. NaN stays NaN.
 */
@inline export function exp4(x: v128): v128 {
  const one = constant(11), round = constant(10);
  const clamped = f32x4.pmin(x, constant(0));
  const shifted = f32x4.add(f32x4.mul(clamped, constant(1)), round), n = f32x4.sub(shifted, round);
  let r = f32x4.sub(clamped, f32x4.mul(n, constant(2)));
  r = f32x4.sub(r, f32x4.mul(n, constant(3)));
  let p = f32x4.add(f32x4.mul(r, constant(4)), constant(5));
  p = f32x4.add(f32x4.mul(p, r), constant(6));
  p = f32x4.add(f32x4.mul(p, r), constant(7));
  p = f32x4.add(f32x4.mul(p, r), constant(8));
  p = f32x4.add(f32x4.mul(p, r), constant(9));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), one);
  const power = i32x4.add(i32x4.shl(shifted, 23), one);
  // Not the complement: a NaN must stay a NaN.
  return v128.andnot(f32x4.mul(p, power), f32x4.lt(x, constant(12)));
}

export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/** 1 / (1 + e^-x). */
@inline export function sigmoid4(x: v128): v128 {
  const one = constant(11);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** x / (1 + e^-x). */
@inline export function silu4(x: v128): v128 {
  return f32x4.div(x, f32x4.add(constant(11), exp4(f32x4.neg(x))));
}

/** ln(1 + e^x). Above 20 it is x to the last bit of a float. */
export function softplus(x: f32): f32 {
  return x > 20 ? x : <f32>Math.log1p(<f64>exp1(x));
}

/** Sum of the four lanes, in a fixed order. */
@inline export function sum4(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

@inline export function max4(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/** Sum of squares of n floats, n a multiple of 4. */
export function sumOfSquares(x: usize, n: i32): f32 {
  let acc = f32x4.splat(0);
  for (let end = x + (<usize>n << 2); x < end; x += 16) {
    const v = v128.load(x);
    acc = f32x4.add(acc, f32x4.mul(v, v));
  }
  return sum4(acc);
}

/** Dot product of n floats, n a multiple of 4. */
export function dot(a: usize, b: usize, n: i32): f32 {
  let s = f32x4.splat(0), t = s;
  const end = a + (<usize>n << 2);
  for (; a + 32 <= end; a += 32, b += 32) {
    s = f32x4.add(s, f32x4.mul(v128.load(a), v128.load(b)));
    t = f32x4.add(t, f32x4.mul(v128.load(a, 16), v128.load(b, 16)));
  }
  if (a < end) s = f32x4.add(s, f32x4.mul(v128.load(a), v128.load(b)));
  return sum4(f32x4.add(s, t));
}

/** y = x / sqrt(mean(x^2) + epsilon) * weight over n floats, n a multiple of 4; y may be x. */
export function rmsNorm(x: usize, weight: usize, y: usize, n: i32, epsilon: f32): void {
  const r = f32x4.splat(<f32>1 / sqrt<f32>(sumOfSquares(x, n) / <f32>n + epsilon));
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(x + i), r), v128.load(weight + i)));
  }
}

/** x = x / sqrt(sum(x^2) + 1e-6) * scale over n floats, n a multiple of 4. */
export function l2Norm(x: usize, n: i32, scale: f32): void {
  const r = f32x4.splat(scale / sqrt<f32>(sumOfSquares(x, n) + <f32>1e-6));
  for (let end = x + (<usize>n << 2); x < end; x += 16) v128.store(x, f32x4.mul(v128.load(x), r));
}

/** x += y over n floats, n a multiple of 4. */
export function addTo(x: usize, y: usize, n: i32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(x + i, f32x4.add(v128.load(x + i), v128.load(y + i)));
}

/** out = silu(x) * y over n floats, n a multiple of 8; out may be either. Two vectors at a time, step by step: two chains keep the processor busy. */
export function siluTimes(out: usize, x: usize, y: usize, n: i32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 32) {
    const a = f32x4.mul(silu4(v128.load(x + i, 0)), v128.load(y + i, 0)), b = f32x4.mul(silu4(v128.load(x + i, 16)), v128.load(y + i, 16));
    v128.store(out + i, a, 0); v128.store(out + i, b, 16);
  }
}

/** x = exp(x) over n floats, n a multiple of 4: for tests of `exp4`. */
export function exp4Array(x: usize, n: i32): void {
  for (const end = x + (<usize>n << 2); x < end; x += 16) v128.store(x, exp4(v128.load(x)));
}
