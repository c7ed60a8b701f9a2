import type { FailureKind, OriginFailure } from './failure.ts';

/** A pause that the origin asks for is waited for up to this, milliseconds; a longer one is the client's to wait for. */
const longestPause = 1_000;
const firstBackoff = 100;
const longestBackoff = 1_000;

/** Another attempt makes sense at the same endpoint too. A slow or wrong answer would only come again there. */
const passing: ReadonlySet<FailureKind> = new Set(['unreachable', 'overloaded', 'unavailable', 'error', 'broken']);
/** The request has certainly not been worked on; after a lost connection nobody knows. */
const untouched: ReadonlySet<FailureKind> = new Set(['overloaded', 'unavailable']);

export interface RetryState {
  /** Attempts that have failed, at least 1. */
  attempts: number;
  /** Most attempts after the first. */
  retries: number;
  /** There is an endpoint that has not been tried. */
  another: boolean;
  /** Asking twice does nothing that asking once does not. */
  idempotent: boolean;
  /** The request has been whole: its time is up anyway when it timed out. */
  stream: boolean;
}

/**
 * Milliseconds until the next attempt, null for none. With full jitter, as in "Exponential Backoff And Jitter" (AWS, 2015): so that those who failed together
 * do not come back together.
 * @param random 0..1
 */
export function retryDelay(failure: OriginFailure, state: RetryState, random: number): number | null {
  if (state.attempts > state.retries) return null;
  if (!mayAskAgain(failure, state.idempotent)) return null;
  if (failure.kind === 'timeout' && !state.stream) return null;
  // Whoever asks for a pause gets it: the next attempt goes elsewhere at once.
  if (state.another) return failure.pauseMs === null ? random * firstBackoff : 0;
  if (!passing.has(failure.kind)) return null;
  if (failure.pauseMs === null) return random * Math.min(longestBackoff, firstBackoff * 2 ** state.attempts);
  return failure.pauseMs <= longestPause ? failure.pauseMs : null;
}

/** Whether anyone else may be asked after this failure: not when a request that must not be done twice may have been done. */
export function mayAskAgain(failure: OriginFailure, idempotent: boolean): boolean {
  return idempotent || untouched.has(failure.kind);
}
