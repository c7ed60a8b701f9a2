import { quantile } from '../machine.ts';
import type { Job } from './workload.ts';

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

/** Two figures measured by turns, as often: `of[i]` right before or after `over[i]`, so that their quotient is not the machine's mood. */
export interface Turns {
  name: string;
  of: number[];
  over: number[];
}

/** One figure of an engine: that of a job, or the tokens per second that reading its weights alone would allow. */
export type EngineJob = Job | { name: 'read' };

/** What a child process is asked for. */
export type Request = EngineJob | { name: 'suite' };

/** What a child process says. An answer comes when it is ready, and to each request. */
export type Message =
  | { kind: 'answer'; value: number }
  | { kind: 'failed'; reason: string }
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
  readonly turns: Turns[] = [];

  add(measurement: Measurement): void {
    const same = this.all.find((other) => keyOf(other) === keyOf(measurement));
    if (same) same.samples.push(...measurement.samples);
    else this.all.push({ ...measurement, samples: [...measurement.samples] });
  }

  addTurns({ name, of, over }: Turns): void {
    const same = this.turns.find((other) => other.name === name);
    if (same) {
      same.of.push(...of);
      same.over.push(...over);
    } else this.turns.push({ name, of: [...of], over: [...over] });
  }

  /** The quotients of two figures measured by turns, or null when they were not. */
  compared(name: string): Spread | null {
    const turns = this.turns.find((other) => other.name === name);
    return turns ? spread(turns.of.map((value, i) => value / turns.over[i]!)) : null;
  }

  /** Median of a figure, or null when it was not measured. */
  median(engine: string, model: string, threads: number, metric: Metric, at: string | number): number | null {
    const found = this.all.find((other) => keyOf(other) === keyOf({ engine, model, threads, metric, at }));
    return found ? quantile(found.samples, 0.5) : null;
  }
}

const keyOf = ({ engine, model, threads, metric, at }: Omit<Measurement, 'samples'>): string =>
  [engine, model, threads, metric, at].join('|');
