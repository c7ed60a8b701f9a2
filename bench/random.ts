/** Evenly distributed in 0..1, and the same numbers in every run. */
export { mulberry32 as generator } from '../models/capability/fit/random.ts';

/** A draw from the standard normal distribution (Box and Muller 1958). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A draw from the exponential distribution with mean 1. */
export const exponential = (random: () => number): number => -Math.log(1 - random());
