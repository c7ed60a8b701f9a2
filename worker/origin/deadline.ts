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
    this.signal = AbortSignal.any([client, this.#controller.signal]);
    this.signal.addEventListener('abort', () => this.#stop(), { once: true });
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

  /** Stops everything: timers, and whatever still listens to the signal. */
  end(reason?: Error): void {
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
