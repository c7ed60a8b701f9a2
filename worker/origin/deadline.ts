/** When something must be over, milliseconds since the epoch, and how long it had in all, milliseconds, to be told. */
export interface TimeLimit {
  endsAt: number;
  ms: number;
}

/**
 * Ends a call when the client leaves or a timeout fires, whichever is first. `signal` goes to fetch; `guard` makes any wait end at once, as not every pending
 * read is rejected by an aborted signal.
 */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  /** Those who wait. Not a race against one promise that lasts as long as the call: that would remember every wait there ever was. */
  readonly #waiting = new Set<(reason: unknown) => void>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(client: AbortSignal) {
    this.signal = this.#controller.signal;
    if (client.aborted) this.end(client.reason);
    // Not AbortSignal.any: one signal less is a noticeable part of a short call.
    else client.addEventListener('abort', () => this.end(client.reason), { once: true });
  }

  /** Ends the call with `error` after `ms`, unless the returned function is called before. */
  limit(ms: number, error: () => Error): () => void {
    const timer = setTimeout(() => this.end(error()), ms);
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  /**
   * Ends the call with `error` when a wait takes longer than `ms`. The returned function is told when a wait begins (true) and ends (false): a timer for each of them
   * would cost more than all else that a chunk does.
   */
  limitWaits(ms: number, error: () => Error): (waiting: boolean) => void {
    let since: number | null = null;
    const look = (left: number) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        const still = since === null ? ms : since + ms - Date.now();
        if (still <= 0) this.end(error());
        else look(still);
      }, left);
      this.#timers.add(timer);
    };
    look(ms);
    return (waiting) => {
      since = waiting ? Date.now() : null;
    };
  }

  /** The promise's outcome, or the reason why the call has ended. */
  guard<T>(promise: Promise<T>): Promise<T> {
    if (this.signal.aborted) {
      promise.catch(() => {});
      return Promise.reject(this.signal.reason);
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      const settle = () => this.#waiting.delete(reject);
      promise.then(
        (value) => {
          settle();
          resolve(value);
        },
        (error) => {
          settle();
          reject(error);
        },
      );
    });
  }

  /** The call is over and its answer read to the end: nothing is left that an abort, which costs far more, would have to stop. */
  finish(): void {
    this.#stop();
  }

  /** Stops everything: timers, and whatever still listens to the signal. */
  end(reason?: unknown): void {
    this.#controller.abort(reason);
    this.#stop();
  }

  #stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const reject of this.#waiting) reject(this.signal.reason);
    this.#waiting.clear();
  }
}
