import type { Figure } from '../calibration.ts';
import { mulberry32 } from './random.ts';

/** A probability (or any score) and what came of it. */
export interface Forecast {
  predicted: number;
  good: 0 | 1;
}

/** The chance that a good one has a higher score than a bad one, ties counting half (Mann-Whitney): 0.5 is guessing. NaN without both. */
export function auc(forecasts: readonly Forecast[]): number {
  const sorted = forecasts.toSorted((a, b) => a.predicted - b.predicted);
  let [bad, pairs, goods] = [0, 0, 0];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    let [good, total] = [0, 0];
    for (; end < sorted.length && sorted[end]!.predicted === sorted[i]!.predicted; end++) {
      good += sorted[end]!.good;
      total += 1;
    }
    pairs += good * (bad + (total - good) / 2);
    goods += good;
    bad += total - good;
    i = end;
  }
  return pairs / (goods * bad);
}

/** Mean squared error of the probabilities (Brier 1950). */
export const brier = (forecasts: readonly Forecast[]): number =>
  forecasts.reduce((sum, { predicted, good }) => sum + (predicted - good) ** 2, 0) / forecasts.length;

const BINS = 10;

/** Predicted and observed by tenths of the forecasts, lowest first. */
export function reliability(forecasts: readonly Forecast[]): { predicted: number; observed: number; count: number }[] {
  const sorted = forecasts.toSorted((a, b) => a.predicted - b.predicted);
  return Array.from({ length: BINS }, (_, bin) => {
    const members = sorted.slice(Math.floor((bin * sorted.length) / BINS), Math.floor(((bin + 1) * sorted.length) / BINS));
    const mean = (of: (member: Forecast) => number) => members.reduce((sum, member) => sum + of(member), 0) / members.length;
    return { predicted: mean(({ predicted }) => predicted), observed: mean(({ good }) => good), count: members.length };
  }).filter(({ count }) => count > 0);
}

/** Expected calibration error: how far predicted and observed lie apart in the mean over those tenths (Naeini et al. 2015, with bins of equal size). */
export const ece = (forecasts: readonly Forecast[]): number =>
  reliability(forecasts).reduce((sum, { predicted, observed, count }) => sum + count * Math.abs(predicted - observed), 0) /
  forecasts.length;

const SAMPLES = 500;

/** A measure with its 95 % bootstrap interval over the forecasts, the same on every run. The interval of `ece` lies high: sampling adds to it. */
export function withInterval(measure: (forecasts: readonly Forecast[]) => number, forecasts: readonly Forecast[]): Figure {
  const random = mulberry32(1);
  const values: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const value = measure(forecasts.map(() => forecasts[Math.floor(random() * forecasts.length)]!));
    if (Number.isFinite(value)) values.push(value);
  }
  values.sort((a, b) => a - b);
  const at = (share: number) => rounded(values[Math.round(share * (values.length - 1))] ?? 0);
  return { value: rounded(measure(forecasts)), low: at(0.025), high: at(0.975) };
}

/** Four digits after the point: more would not be true, and what is committed stays short. */
export const rounded = (value: number): number => Math.round(value * 1e4) / 1e4;
