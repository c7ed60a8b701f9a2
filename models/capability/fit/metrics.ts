import type { Figure } from '../calibration.ts';
import { mulberry32 } from './random.ts';

/** A probability (or any score) and what came of it. */
export interface Forecast {
  predicted: number;
  good: 0 | 1;
}

/** Forecasts by rising probability, and how often each is in a sample. */
interface Sample {
  sorted: readonly Forecast[];
  counts: ArrayLike<number>;
  size: number;
}

const byProbability = (forecasts: readonly Forecast[]): Forecast[] => forecasts.toSorted((a, b) => a.predicted - b.predicted);

const whole = (forecasts: readonly Forecast[]): Sample => ({
  sorted: byProbability(forecasts),
  counts: new Int32Array(forecasts.length).fill(1),
  size: forecasts.length,
});

/** The chance that a good one has a higher score than a bad one, ties counting half (Mann-Whitney): 0.5 is guessing. NaN without both. */
export const auc = (forecasts: readonly Forecast[]): number => aucOf(whole(forecasts));

function aucOf({ sorted, counts, size }: Sample): number {
  let [bad, pairs, goods] = [0, 0, 0];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    let [good, total] = [0, 0];
    for (; end < sorted.length && sorted[end]!.predicted === sorted[i]!.predicted; end++) {
      good += counts[end]! * sorted[end]!.good;
      total += counts[end]!;
    }
    pairs += good * (bad + (total - good) / 2);
    goods += good;
    bad += total - good;
    i = end;
  }
  return pairs / (goods * (size - goods));
}

/** Mean squared error of the probabilities (Brier 1950). */
export const brier = (forecasts: readonly Forecast[]): number => brierOf(whole(forecasts));

const brierOf = ({ sorted, counts, size }: Sample): number =>
  sorted.reduce((sum, { predicted, good }, i) => sum + counts[i]! * (predicted - good) ** 2, 0) / size;

const BINS = 10;

export interface Bin {
  predicted: number;
  observed: number;
  count: number;
}

/** Means of predicted and observed in tenths of the forecasts, lowest first. */
export const reliability = (forecasts: readonly Forecast[]): Bin[] => binsOf(whole(forecasts));

function binsOf({ sorted, counts, size }: Sample): Bin[] {
  const bins = Array.from({ length: BINS }, (): Bin => ({ predicted: 0, observed: 0, count: 0 }));
  let before = 0;
  sorted.forEach(({ predicted, good }, i) => {
    const bin = bins[Math.min(BINS - 1, Math.floor((before * BINS) / size))]!;
    bin.predicted += counts[i]! * predicted;
    bin.observed += counts[i]! * good;
    bin.count += counts[i]!;
    before += counts[i]!;
  });
  const filled = bins.filter(({ count }) => count > 0);
  return filled.map(({ predicted, observed, count }) => ({ predicted: predicted / count, observed: observed / count, count }));
}

/** Expected calibration error: how far predicted and observed lie apart in the mean over those tenths (Naeini et al. 2015, with bins of equal size). */
export const ece = (forecasts: readonly Forecast[]): number => eceOf(whole(forecasts));

const eceOf = (sample: Sample): number =>
  binsOf(sample).reduce((sum, { predicted, observed, count }) => sum + count * Math.abs(predicted - observed), 0) / sample.size;

export type Measures = Record<'auc' | 'brier' | 'ece', Figure>;

const SAMPLES = 500;

/** All measures with their 95 % bootstrap intervals over the forecasts, the same on every run. The interval of `ece` lies high: sampling adds to it. */
export function measure(forecasts: readonly Forecast[]): Measures {
  const all = whole(forecasts);
  const random = mulberry32(1);
  const samples = Array.from({ length: SAMPLES }, (): Sample => {
    const counts = new Int32Array(all.size);
    for (let i = 0; i < all.size; i++) counts[Math.floor(random() * all.size)]! += 1;
    return { ...all, counts };
  });
  const figure = (of: (sample: Sample) => number): Figure => {
    const values = samples
      .map(of)
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    const at = (share: number) => rounded(values[Math.round(share * (values.length - 1))] ?? 0);
    return { value: rounded(of(all)), low: at(0.025), high: at(0.975) };
  };
  return { auc: figure(aucOf), brier: figure(brierOf), ece: figure(eceOf) };
}

/** Four digits after the point: more would not be true, and what is committed stays short. */
export const rounded = (value: number): number => Math.round(value * 1e4) / 1e4;
