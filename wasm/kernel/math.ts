/**
 * Elementary functions that give the same bits on every machine: only IEEE additions, multiplications, divisions and roots in a fixed order.
 */

/**
 * exp of four floats, about 1 ulp. Argument reduction by ln 2 in two parts and a degree 6 polynomial, coefficients of Cephes' expf (Moshier).
 * Below -87.3 the result is 0; above 88.3 it stays at 2.2e38.
 */
export function exp4(x: v128): v128 {
  const clamped = f32x4.min(x, f32x4.splat(88.3));
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.add(f32x4.mul(r, f32x4.splat(1.9875691500e-4)), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  // Not the complement: a NaN must stay a NaN.
  const tooSmall = f32x4.lt(x, f32x4.splat(-87.3));
  return v128.andnot(f32x4.mul(p, power), tooSmall);
}

export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/** 1 / (1 + e^-x). */
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** x / (1 + e^-x). */
export function silu4(x: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
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

/** gate = silu(gate) * up over n floats, n a multiple of 4. */
export function swiGlu(gate: usize, up: usize, n: i32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    v128.store(gate + i, f32x4.mul(silu4(v128.load(gate + i)), v128.load(up + i)));
  }
}

/** x = exp(x) over n floats, n a multiple of 4: for tests of `exp4`. */
export function exp4Array(x: usize, n: i32): void {
  for (const end = x + (<usize>n << 2); x < end; x += 16) v128.store(x, exp4(v128.load(x)));
}
