/** The promise's value, or null when it takes longer than `ms`. The promise itself goes on. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  const { promise: expired, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(resolve, ms, null);
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * `within` for many waits, one after the other. A timer for each would cost more than all else that a streamed token does: here one timer looks, when it fires,
 * how long the wait of that moment has lasted.
 */
export class Patience {
  readonly #ms: number;
  #since = 0;
  /** Ends the present wait. */
  #expire: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** The promise's value, or null when it takes longer than the patience lasts. */
  wait<T>(promise: Promise<T>): Promise<T | null> {
    this.#since = Date.now();
    this.#timer ??= setTimeout(this.#look, this.#ms);
    return new Promise((resolve, reject) => {
      this.#expire = () => resolve(null);
      promise.then(
        (value) => {
          this.#expire = null;
          resolve(value);
        },
        (error) => {
          this.#expire = null;
          reject(error);
        },
      );
    });
  }

  /** There will be no more waits. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #look = (): void => {
    this.#timer = null;
    // The next wait sets the timer again.
    if (!this.#expire) return;
    const left = this.#since + this.#ms - Date.now();
    if (left > 0) this.#timer = setTimeout(this.#look, left);
    else this.#expire();
  };
}
