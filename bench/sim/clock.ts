/** Simulated time begins here, milliseconds: far enough from zero that nothing which is known looks as if it came from before the epoch. */
export const beginning = 1_000_000_000;

interface Due {
  at: number;
  order: number;
  run: () => void;
}

/** Simulated time: what is due runs in the order of time, and of scheduling where times are equal. A binary heap. */
export class Clock {
  now = beginning;
  #heap: Due[] = [];
  #order = 0;

  at(time: number, run: () => void): void {
    const due = { at: Math.max(time, this.now), order: this.#order++, run };
    const heap = this.#heap;
    let i = heap.length;
    heap.push(due);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(due, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = due;
  }

  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  /** Runs what is due next; false when nothing is. */
  next(): boolean {
    const first = this.#heap[0];
    if (!first) return false;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) this.#sink(last);
    this.now = first.at;
    first.run();
    return true;
  }

  #sink(due: Due): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, due)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = due;
  }
}

const isBefore = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
