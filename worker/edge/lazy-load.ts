/** How long a failed load is remembered before the next request tries again. */
const RETRY_AFTER_MS = 5000;

/** Loads once, when first asked for; callers at the same time share the load. A failure is reported to all, and tried again after a short while. */
export class LazyLoad<T> {
  readonly #load: () => Promise<T>;
  readonly #now: () => number;
  #promise: Promise<T> | null = null;
  #value: T | null = null;
  #failure: { error: Error; at: number } | null = null;

  /** @param now milliseconds. */
  constructor(load: () => Promise<T>, now: () => number) {
    this.#load = load;
    this.#now = now;
  }

  get state(): 'cold' | 'loading' | 'ready' | 'failed' {
    if (this.#value !== null) return 'ready';
    if (this.#promise) return 'loading';
    return this.#failure ? 'failed' : 'cold';
  }

  /** What was loaded, if it was. */
  get value(): T | null {
    return this.#value;
  }

  /** Why the last load failed. */
  get error(): Error | null {
    return this.#failure?.error ?? null;
  }

  /** Whole seconds until a failed load is tried again. */
  get retryAfter(): number {
    return this.#failure ? Math.max(1, Math.ceil((this.#failure.at + RETRY_AFTER_MS - this.#now()) / 1000)) : 1;
  }

  get(): Promise<T> {
    if (this.#promise) return this.#promise;
    if (this.#failure && this.#now() - this.#failure.at < RETRY_AFTER_MS) return Promise.reject(this.#failure.error);
    this.#failure = null;
    this.#promise = this.#load().then(
      (value) => {
        this.#value = value;
        return value;
      },
      (error: unknown) => {
        this.#promise = null;
        this.#failure = { error: error instanceof Error ? error : new Error(String(error)), at: this.#now() };
        throw this.#failure.error;
      },
    );
    return this.#promise;
  }

  /** Forgets `value` if it is the current one, so that the next caller loads anew: it has failed in use. */
  drop(value: T): void {
    if (this.#value !== value) return;
    this.#value = null;
    this.#promise = null;
  }
}
