import { quantile } from '../machine.ts';

/** What is measured of an engine. Speeds are in tokens per second over all sessions, times in the unit named. */
export type Metric =
  | 'decode'
  | 'prefill'
  | 'ttft_ms'
  | 'batch_4'
  | 'prefix_hit_ttft_ms'
  | 'restore_ttft_ms'
  | 'load_s'
  | 'hold_ms'
  | 'wasm_bytes'
  | 'heap_bytes'
  | 'weight_bytes'
  | 'rss_mb'
  | 'read_gb_s'
  | 'weight_read_bytes';

/** One figure with all its samples. */
export interface Measurement {
  engine: string;
  model: string;
  threads: number;
  metric: Metric;
  /** What it was measured at: a context length, a number of prompt tokens, a kind of request. */
  at: string | number;
  samples: number[];
}

/** What a child process prints, one JSON object a line. */
export type Message =
  | ({ kind: 'measurement' } & Measurement)
  | { kind: 'fact'; engine: string; name: string; value: string | number }
  | { kind: 'skipped'; engine: string; reason: string };

export interface Spread {
  median: number;
  low: number;
  high: number;
  samples: number;
}

/** Median, smallest and largest sample. */
export const spread = (samples: number[]): Spread => ({
  median: quantile(samples, 0.5),
  low: Math.min(...samples),
  high: Math.max(...samples),
  samples: samples.length,
});

/** All measurements of a run. The same figure measured in several rounds becomes one with all their samples. */
export class Measurements {
  readonly all: Measurement[] = [];

  add(measurement: Measurement): void {
    const same = this.all.find((other) => keyOf(other) === keyOf(measurement));
    if (same) same.samples.push(...measurement.samples);
    else this.all.push({ ...measurement, samples: [...measurement.samples] });
  }

  /** Median of a figure, or null when it was not measured. */
  median(engine: string, model: string, threads: number, metric: Metric, at: string | number): number | null {
    const found = this.all.find((other) => keyOf(other) === keyOf({ engine, model, threads, metric, at }));
    return found ? quantile(found.samples, 0.5) : null;
  }
}

const keyOf = ({ engine, model, threads, metric, at }: Omit<Measurement, 'samples'>): string =>
  [engine, model, threads, metric, at].join('|');
