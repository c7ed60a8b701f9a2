/**
 * Quantiles of a stream in a few hundred bytes: a histogram with logarithmic buckets, so that every quantile is right within a fixed relative error (DDSketch:
 * Masson, Rim and Lee, VLDB 2019), whose counts fade with every new value, so that what was long ago is forgotten. P² (Jain and Chlamtac 1985) is smaller, but
 * does not forget. A value, not an object: `addValue` returns a new one; JSON keeps it.
 */
export interface QuantileSketch {
  /** Weight by bucket; bucket i holds values from base^(i + first) to base^(i + first + 1). */
  counts: number[];
  total: number;
}

/** Neighbouring buckets differ by 20 %, so a quantile is wrong by 10 % at most. */
const base = 1.2;
const logBase = Math.log(base);
/** 0.01 to 280,000: times in milliseconds, tokens and ratios all fit. What is outside counts as the nearest that is not. */
const first = Math.floor(Math.log(0.01) / logBase);
const buckets = 94;
/** The weight of what was there after each new value: about the last hundred count. */
const fading = 0.99;

export const emptySketch: QuantileSketch = { counts: [], total: 0 };

/** One value more. Anything but a positive finite number changes nothing. */
export function addValue(sketch: QuantileSketch, value: number): QuantileSketch {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) return sketch;
  const counts = sketch.counts.length === buckets ? faded(sketch.counts) : new Array<number>(buckets).fill(0);
  counts[bucketOf(value)]! += 1;
  return { counts, total: sketch.total * fading + 1 };
}

/** The value below which the part `q`, 0..1, of the weight lies; null when there is none. */
export function quantileOf(sketch: QuantileSketch, q: number): number | null {
  if (sketch.total <= 0) return null;
  let rest = q * sketch.total;
  let last = 0;
  for (let i = 0; i < sketch.counts.length; i++) {
    const count = sketch.counts[i]!;
    if (count === 0) continue;
    last = i;
    if (rest <= count) return valueAt(i, rest / count);
    rest -= count;
  }
  return valueAt(last, 1);
}

/** The part of the weight that lies below `value`, 0..1; 0 when there is none. */
export function partBelow(sketch: QuantileSketch, value: number): number {
  if (sketch.total <= 0 || !(value > 0)) return 0;
  const bucket = bucketOf(value);
  let below = 0;
  for (let i = 0; i < bucket; i++) below += sketch.counts[i] ?? 0;
  const within = Math.min(1, Math.max(0, Math.log(value) / logBase - first - bucket));
  return Math.min(1, (below + within * (sketch.counts[bucket] ?? 0)) / sketch.total);
}

/** By a loop: `map` takes four times as long, and leaves more garbage than all else that is learnt from an answer. */
function faded(counts: readonly number[]): number[] {
  const next = counts.slice();
  for (let i = 0; i < buckets; i++) next[i]! *= fading;
  return next;
}

function bucketOf(value: number): number {
  return Math.min(buckets - 1, Math.max(0, Math.floor(Math.log(value) / logBase - first)));
}

/** The value at a part of a bucket, evenly in the logarithm. */
function valueAt(bucket: number, part: number): number {
  return base ** (first + bucket + Math.max(0, part));
}
