/** Much more than any cache holds, and about what a 0.8B model weighs. */
const BYTES = 384 * 1024 * 1024;
const PASSES = 2;

interface Reader {
  readOne(at: number, bytes: number): number;
  readFour(at: number, bytes: number): number;
}

export type Pattern = 'one' | 'four';

/** Reads memory of its own with read.wat. */
export class ReadBandwidth {
  readonly #reader: Reader;
  readonly #now: () => number;

  /** @param module read.wat compiled. @param now milliseconds */
  constructor(module: WebAssembly.Module, now: () => number) {
    const memory = new WebAssembly.Memory({ initial: BYTES / 65536, maximum: BYTES / 65536 });
    // Untouched pages are all the same page of zeros, which the cache holds.
    new Uint8Array(memory.buffer).fill(1);
    this.#reader = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Reader;
    this.#now = now;
  }

  /** GB/s over two passes: front to back, or four runs side by side. */
  measure(pattern: Pattern): number {
    const started = this.#now();
    for (let i = 0; i < PASSES; i++) this.#reader[pattern === 'one' ? 'readOne' : 'readFour'](0, BYTES);
    return (PASSES * BYTES) / 1e6 / (this.#now() - started);
  }
}
