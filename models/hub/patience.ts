import { ModelError } from '../model-error.ts';
import { HttpError } from './http-error.ts';
import { TransferError } from './transfer-error.ts';

export interface RetryPolicy {
  /** Failures in a row after which to give up. */
  tries: number;
  /** First wait in milliseconds; it doubles with every failure, up to `maxWaitMs`, and is shortened at random by up to a half. */
  firstWaitMs: number;
  maxWaitMs: number;
  /** A server that asks for a longer wait than this is taken at its word, and the command ends. */
  maxRetryAfterMs: number;
  /** Told before every wait. */
  onRetry?: (reason: string, waitMs: number) => void;
}

/** About a minute of trying when nothing gets through. */
export const DEFAULT_RETRY: RetryPolicy = {
  tries: 8,
  firstWaitMs: 500,
  maxWaitMs: 30_000,
  maxRetryAfterMs: 5 * 60_000,
};

/** Decides after each failure of one request whether, and when, to try again. */
export class Patience {
  #policy: RetryPolicy;
  #signal: AbortSignal | undefined;
  #failures = 0;

  constructor(policy: RetryPolicy, signal?: AbortSignal) {
    this.#policy = policy;
    this.#signal = signal;
  }

  /** The request got further: a download of hours may fail more often than `tries`, as long as it moves. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Waits before the next try. Throws when there is to be none: `error` itself, or a `ModelError` that says why. */
  async failed(error: unknown): Promise<void> {
    this.#signal?.throwIfAborted();
    const retryable = error instanceof TransferError || (error instanceof HttpError && error.isRetryable);
    if (!retryable) throw error;
    this.#failures++;
    if (this.#failures >= this.#policy.tries) {
      throw new ModelError(`${error.message} That was try ${this.#failures}; run the same command again to go on from here.`, {
        cause: error,
      });
    }
    const asked = error instanceof HttpError ? error.retryAfterMs : null;
    if (asked !== null && asked > this.#policy.maxRetryAfterMs) {
      const minutes = Math.ceil(asked / 60_000);
      throw new ModelError(`${error.message} It asks to wait ${minutes} minutes; run the same command again then.`, { cause: error });
    }
    const wait = asked ?? this.#backOff();
    this.#policy.onRetry?.(error.message, wait);
    await sleep(wait, this.#signal);
  }

  #backOff(): number {
    const wait = Math.min(this.#policy.maxWaitMs, this.#policy.firstWaitMs * 2 ** (this.#failures - 1));
    return wait * (1 - Math.random() / 2);
  }
}

/** Runs `attempt` until it succeeds or there is no point in trying again. */
export async function withRetries<T>(policy: RetryPolicy, signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
  const patience = new Patience(policy, signal);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await patience.failed(error);
    }
  }
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
