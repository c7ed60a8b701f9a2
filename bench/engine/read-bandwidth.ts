/** What is read at a time, by all threads together: about a matrix. */
const MATRIX = 2 ** 21;
const PAGE = 4096;
/** As many as a clock of whole milliseconds wants. */
const PASSES = 4;

interface Reader {
  read(at: number, bytes: number): number;
}

/** Reads memory of its own, as much as a model's weights are, with read.wat: a thread's share of each matrix, one matrix after the other. */
export class ReadBandwidth {
  readonly #reader: Reader;
  readonly #share: number;
  readonly #shares: number;

  /** @param module read.wat compiled. @param bytes of all threads together. @param threads how many read at the same time, each with a reader of its own */
  constructor(module: WebAssembly.Module, bytes: number, threads: number) {
    this.#share = MATRIX / threads;
    this.#shares = Math.ceil(bytes / MATRIX);
    const pages = Math.ceil((this.#shares * this.#share) / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    // Untouched pages are all the same page of zeros, which the cache holds; and pages alike might be made one by the host.
    const words = new Uint32Array(memory.buffer);
    for (let page = 0; page * PAGE < memory.buffer.byteLength; page++) words.fill(page, (page * PAGE) / 4, ((page + 1) * PAGE) / 4);
    this.#reader = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Reader;
  }

  /** Reads everything a few times. Returns how many bytes that was. */
  run(): number {
    for (let i = 0; i < PASSES * this.#shares; i++) this.#reader.read((i % this.#shares) * this.#share, this.#share);
    return PASSES * this.#shares * this.#share;
  }
}
