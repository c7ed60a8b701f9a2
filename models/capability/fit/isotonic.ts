import type { Forecast } from './metrics.ts';
import { rounded } from './metrics.ts';

/** Forecasts of a point of the curve, at least: fewer say more about chance than about the model. */
const LEAST_PER_POINT = 20;
const MOST_POINTS = 20;

interface Block {
  weight: number;
  score: number;
  good: number;
}

/**
 * The reliability curve of scores: non-decreasing, by pooling adjacent violators (Ayer et al. 1955) over bins of equal size. The share of good ones in a bin is taken as
 * (good + 1) / (all + 2), so that the curve never promises certainty.
 */
export function isotonicCurve(forecasts: readonly Forecast[]): [number, number][] {
  const sorted = forecasts.toSorted((a, b) => a.predicted - b.predicted);
  const bins = Math.max(1, Math.min(MOST_POINTS, Math.floor(sorted.length / LEAST_PER_POINT)));
  const blocks: Block[] = [];
  for (let bin = 0; bin < bins; bin++) {
    const members = sorted.slice(Math.floor((bin * sorted.length) / bins), Math.floor(((bin + 1) * sorted.length) / bins));
    const sum = (of: (member: Forecast) => number) => members.reduce((total, member) => total + of(member), 0);
    const weight = members.length;
    blocks.push({ weight, score: sum(({ predicted }) => predicted) / weight, good: (sum(({ good }) => good) + 1) / (weight + 2) });
    while (blocks.length > 1 && blocks.at(-2)!.good >= blocks.at(-1)!.good) blocks.push(pool(blocks.pop()!, blocks.pop()!));
  }
  return blocks.map(({ score, good }) => [rounded(score), rounded(good)]);
}

function pool(a: Block, b: Block): Block {
  const weight = a.weight + b.weight;
  const mean = (of: (block: Block) => number) => (a.weight * of(a) + b.weight * of(b)) / weight;
  return { weight, score: mean(({ score }) => score), good: mean(({ good }) => good) };
}
