/**
 * Ends a call when the client leaves or a timeout fires, whichever is first. `signal` goes to fetch; `guard` makes any wait end at once, as not every pending
 * read is rejected by an aborted signal.
 */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #aborted: Promise<never>;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(client: AbortSignal) {
    this.signal = AbortSignal.any([client, this.#controller.signal]);
    const { promise, reject } = Promise.withResolvers<never>();
    this.#aborted = promise;
    promise.catch(() => {});
    if (this.signal.aborted) reject(this.signal.reason);
    this.signal.addEventListener('abort', () => reject(this.signal.reason), { once: true });
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

  /** The promise's outcome, or the reason why the call has ended. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#aborted]);
  }

  /** Stops everything: timers, and whatever still listens to the signal. */
  end(reason?: Error): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#controller.abort(reason);
  }
}
