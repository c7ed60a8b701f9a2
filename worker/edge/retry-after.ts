import type { EdgeRates } from './protocol.ts';

/** What a running answer may still take. */
export interface Progress {
  /** Prompt tokens not evaluated yet. */
  prompt: number;
  /** Tokens it may still generate. */
  answer: number;
}

/** Seconds, where nothing was measured yet. */
const UNKNOWN = 2;
const LONGEST = 30;

/**
 * Whole seconds until a place gets free: until the first of the running answers has reached its limit, at the measured rates. Most end sooner, but who comes too
 * early is refused again.
 */
export function retryAfter(running: Progress[], rates: EdgeRates): number {
  const { decode } = rates;
  if (running.length === 0 || decode === null) return UNKNOWN;
  const prefill = rates.prefill ?? decode;
  const seconds = Math.min(...running.map(({ prompt, answer }) => prompt / prefill + answer / decode));
  return Math.min(LONGEST, Math.max(1, Math.ceil(seconds)));
}
