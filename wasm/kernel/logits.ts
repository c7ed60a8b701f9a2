/** What is asked of a run of logits. */
import { exp4, max4, sum4 } from './math';

/** log(sum(exp(x * scale))) over n floats, any n. -Infinity for n = 0 or when all are. */
export function logSumExp(x: usize, n: i32, scale: f32): f64 {
  const end = x + (<usize>n << 2), whole = x + (<usize>(n & ~3) << 2);
  let high = f32x4.splat(-Infinity), p = x;
  for (; p != whole; p += 16) high = f32x4.max(high, v128.load(p));
  let largest = max4(high);
  for (; p != end; p += 4) largest = max(largest, load<f32>(p));
  if (largest == -Infinity) return -Infinity;
  const shift = f32x4.splat(largest), by = f32x4.splat(scale);
  let total: f64 = 0;
  for (p = x; p != whole;) {
    // Sums of floats over short runs, in double over all of them.
    let sum = f32x4.splat(0);
    for (const stop = min(p + 1024, whole); p != stop; p += 16) sum = f32x4.add(sum, exp4(f32x4.mul(f32x4.sub(v128.load(p), shift), by)));
    total += <f64>sum4(sum);
  }
  for (; p != end; p += 4) total += <f64>f32x4.extract_lane(exp4(f32x4.splat((load<f32>(p) - largest) * scale)), 0);
  return <f64>largest * <f64>scale + Math.log(total);
}

/**
 * The `k` largest of n floats at x, descending, ties by lower index: indices (i32) to `indices`, values (f32) to `values`. Returns how many were found,
 * fewer than k when n is, or when some are -Infinity or NaN.
 */
export function largestK(x: usize, n: i32, k: i32, indices: usize, values: usize): i32 {
  let found = 0, bar: f32 = -Infinity, i = 0;
  for (const whole = n & ~3; i < whole; i += 4) {
    const v = v128.load(x + (<usize>i << 2));
    if (!v128.any_true(f32x4.gt(v, f32x4.splat(bar)))) continue;
    for (let j = i; j < i + 4; j++) {
      const value = load<f32>(x + (<usize>j << 2));
      if (value > bar) {
        found = insert(indices, values, found, k, j, value);
        if (found == k) bar = load<f32>(values + (<usize>(k - 1) << 2));
      }
    }
  }
  for (; i < n; i++) {
    const value = load<f32>(x + (<usize>i << 2));
    if (value > bar) {
      found = insert(indices, values, found, k, i, value);
      if (found == k) bar = load<f32>(values + (<usize>(k - 1) << 2));
    }
  }
  return found;
}

/** Inserts into the descending lists, after equal values, dropping the last when they are full. Returns the new length. */
function insert(indices: usize, values: usize, found: i32, k: i32, index: i32, value: f32): i32 {
  if (found < k) found++;
  let at = <usize>(found - 1) << 2;
  for (; at > 0 && load<f32>(values + at - 4) < value; at -= 4) {
    store<f32>(values + at, load<f32>(values + at - 4));
    store<i32>(indices + at, load<i32>(indices + at - 4));
  }
  store<f32>(values + at, value);
  store<i32>(indices + at, index);
  return found;
}
