import { secondsOf } from '../../worker/routing/expectations.ts';
import type { Policy } from '../../worker/routing/types.ts';
import { quantile } from '../machine.ts';
import type { Course } from './attempt.ts';
import type { RunResult } from './simulate.ts';

/** What a client that got an error has lost at least until it has its answer from elsewhere, milliseconds: an assumption. No error is cheap because it comes fast. */
export const failureMs = 30_000;

/** The first token of a stream, or the whole of what is no stream, should be there by then. */
const objectiveMs = 3_000;

export interface Figures {
  ttftMs: { p50: number; p95: number; p99: number };
  totalMs: { p50: number; p95: number; p99: number };
  /** Dollars per 1,000 requests, by the bill. */
  usd: number;
  /** Parts of the requests: answered by the edge, given up by the gate, first token later than `objectiveMs` (or never), not answered. */
  edge: number;
  escalated: number;
  missed: number;
  failed: number;
  /** Mean probability that the answer is good enough. */
  quality: number;
  /** Dollars per 1,000 requests by the policy's own weights: see `scoreOf`. */
  score: number;
}

/** Of all runs together. */
export function figuresOf(runs: RunResult[], policy: Policy): Figures {
  const courses = runs.flatMap((run) => run.courses);
  const part = (is: (course: Course) => boolean) => courses.filter(is).length / courses.length;
  const quantiles = (values: number[]) => ({ p50: quantile(values, 0.5), p95: quantile(values, 0.95), p99: quantile(values, 0.99) });
  return {
    ttftMs: quantiles(courses.map(ttftOf)),
    totalMs: quantiles(courses.map(totalOf)),
    usd: (1000 * runs.reduce((sum, { usd }) => sum + usd.edge + usd.origin, 0)) / courses.length,
    edge: part(({ route }) => route === 'edge'),
    escalated: part(({ escalated }) => escalated),
    missed: part((course) => ttftOf(course) > objectiveMs),
    failed: part(({ route }) => route === null),
    quality: courses.reduce((sum, { quality }) => sum + quality, 0) / courses.length,
    score: runs.reduce((sum, run) => sum + run.courses.length * scoreOf(run, policy), 0) / courses.length,
  };
}

/**
 * Dollars per 1,000 requests of one run, by the weights that the policy decides by (worker/routing/policies.ts): the bill, what the policy pays for the seconds that
 * were waited, and what it pays for each answer that is not good enough. Less is better. Seconds are counted as `decide` counts them; an error counts as an answer that is
 * not good and as `failureMs`.
 */
export function scoreOf({ courses, usd }: RunResult, { weights, ttftShare }: Policy): number {
  const timing = (ms: number) => ({ p50: ms, p95: ms, mean: ms });
  const sum = courses.reduce((total, course) => {
    const seconds = secondsOf(timing(ttftOf(course)), timing(totalOf(course)), course.request.stream, ttftShare);
    return total + weights.latency * seconds + weights.quality * (1 - course.quality);
  }, 0);
  return (1000 * (weights.cost * (usd.edge + usd.origin) + sum)) / courses.length;
}

const ttftOf = ({ route, ttftMs }: Course): number => (route === null ? Math.max(failureMs, ttftMs) : ttftMs);
const totalOf = ({ route, totalMs }: Course): number => (route === null ? Math.max(failureMs, totalMs) : totalMs);
