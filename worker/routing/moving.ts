/** Figures that follow a stream of samples and forget: values that go in and out of functions. Whatever is no finite number changes nothing. */

/** Weight of the newest sample. */
const smoothing = 0.15;
/** A sample counts as at most so many times the average, and at least as one of so many parts of it, so that one outlier moves it by a third at most. */
const mostOfAverage = 3;

/** Exponentially weighted mean of positive samples; null before the first. */
export function follow(mean: number | null, sample: number): number | null {
  if (!(sample > 0 && sample < Number.POSITIVE_INFINITY)) return mean;
  if (mean === null) return sample;
  return mean + smoothing * (Math.min(mostOfAverage * mean, Math.max(mean / mostOfAverage, sample)) - mean);
}

/** Sums of an exponentially weighted least-squares line. */
export interface Regression {
  weight: number;
  x: number;
  y: number;
  xx: number;
  xy: number;
}

export const noRegression: Regression = { weight: 0, x: 0, y: 0, xx: 0, xy: 0 };

/** What is left of earlier points after each new one: about the last fifty count. */
const regressionMemory = 0.98;

/** One point more. A y far from the line so far counts as at most three times what the line says. */
export function addPoint(sums: Regression, x: number, y: number): Regression {
  if (!(x >= 0 && x < 1e7 && y > 0 && y < 1e8)) return sums;
  const line = lineOf(sums);
  const expected = line ? line.base + line.slope * x : y;
  const clipped = Math.min(mostOfAverage * expected, Math.max(expected / mostOfAverage, y));
  const { weight, x: sx, y: sy, xx, xy } = sums;
  const keep = regressionMemory;
  return { weight: keep * weight + 1, x: keep * sx + x, y: keep * sy + clipped, xx: keep * xx + x * x, xy: keep * xy + x * clipped };
}

/** The line through the points; null before there is one. With xs that hardly differ, or a falling line, it is level: longer prompts never take less. */
export function lineOf({ weight, x, y, xx, xy }: Regression): { base: number; slope: number } | null {
  if (weight <= 0) return null;
  const [mx, my] = [x / weight, y / weight];
  const variance = xx / weight - mx * mx;
  const slope = variance > 1 + 0.01 * mx * mx ? Math.max(0, (xy / weight - mx * my) / variance) : 0;
  // Nor is there a prompt that takes less than nothing.
  const bounded = mx > 0 ? Math.min(slope, (0.9 * my) / mx) : slope;
  return { base: my - bounded * mx, slope: bounded };
}

/** Events counted with a weight that fades: a rate. */
export interface Traffic {
  count: number;
  at: number;
}

/** After so many milliseconds an event counts 1/e. */
const trafficMs = 600_000;

/** Traffic of so many events per second until now. */
export function steady(perSecond: number, at: number): Traffic {
  return { count: (perSecond * trafficMs) / 1000, at };
}

/** @param events that happened at `at`, which does not lie before the last */
export function addTraffic(traffic: Traffic, at: number, events: number): Traffic {
  const later = Math.max(traffic.at, at);
  return { count: traffic.count * Math.exp(-(later - traffic.at) / trafficMs) + events, at: later };
}

/** Events per second. */
export function rateOf(traffic: Traffic, now: number): number {
  return (addTraffic(traffic, now, 0).count * 1000) / trafficMs;
}
