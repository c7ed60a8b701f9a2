/** A place in the bounded queue, held until `leave`. */
export interface Ticket {
  /** Waits for a free slot to run in. Rejects with the signal's reason when it aborts first. */
  start(signal: AbortSignal): Promise<void>;
  /** Gives the place back; calling it twice is harmless. */
  leave(): void;
}

/** Lets `running` requests run at once and `waiting` more wait, first come first served. Bounded by counts, never by clocks. */
export class Admission {
  readonly #runningLimit: number;
  readonly #waitingLimit: number;
  #held = 0;
  #running = 0;
  #queue: (() => void)[] = [];

  constructor(runningLimit: number, waitingLimit: number) {
    this.#runningLimit = runningLimit;
    this.#waitingLimit = waitingLimit;
  }

  get running(): number {
    return this.#running;
  }

  /** Requests that hold a place and do not run: they wait for the model to load or for a slot. */
  get waiting(): number {
    return this.#held - this.#running;
  }

  /** Requests that run at once at most. */
  get runningLimit(): number {
    return this.#runningLimit;
  }

  get waitingLimit(): number {
    return this.#waitingLimit;
  }

  /** A place, or null when all are taken. */
  enter(): Ticket | null {
    if (this.#held >= this.#runningLimit + this.#waitingLimit) return null;
    this.#held += 1;
    let state: 'waiting' | 'running' | 'left' = 'waiting';
    return {
      start: async (signal) => {
        await this.#slot(signal);
        // It left while it waited: the slot belongs to the next one.
        if (state === 'left') this.#release();
        else state = 'running';
      },
      leave: () => {
        if (state === 'left') return;
        this.#held -= 1;
        if (state === 'running') this.#release();
        state = 'left';
      },
    };
  }

  #slot(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#running < this.#runningLimit) {
        this.#running += 1;
        return resolve();
      }
      const onAbort = () => {
        this.#queue = this.#queue.filter((other) => other !== enter);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(enter);
    });
  }

  /** Hands the slot to the next in the queue, so that nobody can slip in between. */
  #release(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#running -= 1;
  }
}
