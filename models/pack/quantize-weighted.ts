import { floatToHalf, halfToFloat } from '../half.ts';
import { ModelError } from '../model-error.ts';
import { writeHalf } from './quantize.ts';

const BLOCK = 32;
/** Adding and taking away 1.5 * 2^52 rounds a double of moderate size to the nearest integer, ties to even; several times faster than Math.round. */
const ROUNDER = 6755399441055744;
/**
 * Candidates for a block's scale: its value of largest magnitude over each of these. -8 is plain rounding's, which puts that value on the end of the range;
 * more makes steps finer and clips it, less makes them coarser, and the other sign turns the lopsided range of -8 to 7 around.
 */
const DIVISORS = [-8, 8, 7, -7, -7.5, 7.5, -8.6, 8.2, -6.5, 6.5, -6, 6];
/** Least-squares steps from the best candidate; more change next to nothing. */
const REFINEMENTS = 2;

const x = new Float64Array(BLOCK);
const w = new Float64Array(BLOCK);

/**
 * Quantizes rows of `columnWeights.length` values (a multiple of 32) to ggml's q4_0 blocks, as `quantizeQ4` does, but chooses each block's scale so that the
 * error sum(w * (x - q * d)^2) is small: never larger than plain rounding's. With w the mean square of what each column is multiplied with, that sum is the
 * expected squared error of the product, errors of different columns taken as independent. The scale is searched among fixed candidates, then fitted by weighted
 * least squares to the integers it gave, as llama.cpp does with an importance matrix (`make_qx_quants` in ggml-quants.c).
 * Throws `ModelError` for weights that are not finite.
 */
export function quantizeQ4Weighted(values: Float32Array, columnWeights: Float32Array): Uint8Array {
  const columns = columnWeights.length;
  const blocks = new Uint8Array((values.length / BLOCK) * 18);
  for (let at = 0, from = 0; from < values.length; at += 18, from += BLOCK) {
    const column = from % columns;
    let largest = 0;
    for (let i = 0; i < BLOCK; i++) {
      const value = values[from + i]!;
      if (!Number.isFinite(value)) largest = value;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
      x[i] = value;
      w[i] = columnWeights[column + i]!;
    }
    const scale = bestScale(largest);
    writeHalf(blocks, at, scale);
    const inverse = scale ? 1 / scale : 0;
    for (let i = 0; i < 16; i++) blocks[at + 2 + i] = (nearest(x[i]! * inverse) + 8) | ((nearest(x[i + 16]! * inverse) + 8) << 4);
  }
  return blocks;
}

/** The scale, a half, for the block in `x` with the weights in `w`. */
function bestScale(largest: number): number {
  if (!Number.isFinite(largest)) throw new ModelError('A weight is not a finite number, or is too large for a half-precision scale.');
  let scale = toHalf(largest / -8);
  if (!Number.isFinite(scale)) return scale;
  let least = errorOf(scale, Number.POSITIVE_INFINITY);
  for (let i = 1; i < DIVISORS.length; i++) {
    const candidate = toHalf(largest / DIVISORS[i]!);
    const error = errorOf(candidate, least);
    if (error < least) [scale, least] = [candidate, error];
  }
  for (let i = 0; i < REFINEMENTS && scale !== 0; i++) {
    const fitted = toHalf(leastSquares(scale));
    const error = errorOf(fitted, least);
    if (!(error < least)) break;
    [scale, least] = [fitted, error];
  }
  return scale;
}

const toHalf = (value: number): number => halfToFloat(floatToHalf(value));

const nearest = (value: number): number => {
  const rounded = value + ROUNDER - ROUNDER;
  return rounded < -8 ? -8 : Math.min(rounded, 7);
};

/** The weighted squared error of the block with this scale, or something not below `limit`. */
function errorOf(scale: number, limit: number): number {
  if (!Number.isFinite(scale)) return limit;
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let start = 0; start < BLOCK && error < limit; start += 8) {
    for (let i = start; i < start + 8; i++) {
      const value = x[i]!;
      const difference = value - nearest(value * inverse) * scale;
      error += w[i]! * difference * difference;
    }
  }
  return error;
}

/** The scale of least error for the integers that `scale` gives. */
function leastSquares(scale: number): number {
  const inverse = 1 / scale;
  let [products, squares] = [0, 0];
  for (let i = 0; i < BLOCK; i++) {
    const q = nearest(x[i]! * inverse);
    products += w[i]! * x[i]! * q;
    squares += w[i]! * q * q;
  }
  return squares > 0 ? products / squares : scale;
}
