/** The ids of the prefix blocks that were used last, up to `capacity`: a node's prefix cache in a simulation. */
export class PrefixCache {
  readonly #blocks = new Set<number>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How many leading blocks are there; then all are, as the newest. */
  use(ids: readonly number[]): number {
    const missing = ids.findIndex((id) => !this.#blocks.has(id));
    // The first block is used last, so that a prefix loses its end before its beginning.
    for (const id of [...ids].reverse()) {
      this.#blocks.delete(id);
      this.#blocks.add(id);
    }
    for (const oldest of this.#blocks) {
      if (this.#blocks.size <= this.#capacity) break;
      this.#blocks.delete(oldest);
    }
    return missing === -1 ? ids.length : missing;
  }

  clear(): void {
    this.#blocks.clear();
  }
}
