import { unlessAborted } from '../../wasm/engine/pipeline/unless-aborted.ts';
import { type SessionRoom, StageError } from '../../wasm/engine/stage.ts';

/**
 * Lets requests begin only when there is memory for all that they may need, in the order they came: one that waits for others to end is better than one that breaks
 * off, and nobody who needs little overtakes one who needs much.
 */
export class MemoryLine {
  readonly #room: SessionRoom | null;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** The first in line waits for others to give memory back. */
  #short = false;
  /** Tokens of each request that has its memory. */
  readonly #held = new Set<{ tokens: number }>();
  #freed = Promise.withResolvers<void>();

  /** @param room null where nobody can tell: then only the attempt does */
  constructor(room: SessionRoom | null) {
    this.#room = room;
  }

  /** Requests that wait for their memory: none while the first of them is only taking it. */
  get waiting(): number {
    return this.#short ? this.#waiting : 0;
  }

  /**
   * @param tokens most that its session will have
   * @param take gets the memory; where it throws `out_of_memory`, nothing has changed
   * @returns what `take` makes, and a function that tells that the memory was given back
   * @throws what `take` throws, `out_of_memory` only when nobody else has memory to give back; the signal's reason when it aborts first
   */
  enter<T>(tokens: number, take: () => Promise<T>, signal: AbortSignal): Promise<{ taken: T; leave: () => void }> {
    if (signal.aborted) return Promise.reject(signal.reason);
    this.#waiting += 1;
    const before = this.#last;
    const mine = unlessAborted(before, signal, () => {})
      .then(() => this.#enter(tokens, take, signal))
      .finally(() => {
        this.#waiting -= 1;
      });
    this.#last = Promise.allSettled([before, mine]);
    return mine;
  }

  async #enter<T>(tokens: number, take: () => Promise<T>, signal: AbortSignal): Promise<{ taken: T; leave: () => void }> {
    for (;;) {
      signal.throwIfAborted();
      const freed = this.#freed.promise;
      if (this.#fits(tokens)) {
        try {
          return { taken: await take(), leave: this.#hold(tokens) };
        } catch (error) {
          // Whoever has left meanwhile has made room.
          const others = this.#held.size > 0 || freed !== this.#freed.promise;
          const mayCome = error instanceof StageError && error.code === 'out_of_memory' && others;
          if (!mayCome) throw error;
        }
      }
      signal.throwIfAborted();
      this.#short = true;
      await unlessAborted(freed, signal, () => {}).finally(() => {
        this.#short = false;
      });
    }
  }

  /** Whoever is alone is let in: the attempt tells. */
  #fits(tokens: number): boolean {
    if (this.#room === null || this.#held.size === 0) return true;
    const { bytes, slotBytes, pageBytes, pageTokens } = this.#room;
    const all = [...this.#held, { tokens }];
    return bytes >= all.reduce((sum, one) => sum + slotBytes + Math.ceil(one.tokens / pageTokens) * pageBytes, 0);
  }

  #hold(tokens: number): () => void {
    const entry = { tokens };
    this.#held.add(entry);
    return () => {
      if (!this.#held.delete(entry)) return;
      this.#freed.resolve();
      this.#freed = Promise.withResolvers();
    };
  }
}

/** Tokens of the longest session that there is memory for, alone. 0 for none. */
export function longestSession({ bytes, slotBytes, pageBytes, pageTokens }: SessionRoom): number {
  if (bytes < slotBytes) return 0;
  return pageBytes === 0 ? Number.POSITIVE_INFINITY : Math.floor((bytes - slotBytes) / pageBytes) * pageTokens;
}
