/** What is read at a time, by all threads together: about a matrix. */
const MATRIX = 2 ** 21;
const PAGE = 4096;
/** As many as a clock of whole milliseconds wants. */
const PASSES = 4;

interface Reader {
  read(at: number, bytes: number): number;
}

const matricesOf = (bytes: number): number => Math.ceil(bytes / MATRIX);

/** Memory to read: of `bytes` bytes, up to a whole matrix. */
export function memoryToRead(bytes: number, shared: boolean): WebAssembly.Memory {
  const pages = (matricesOf(bytes) * MATRIX) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  // Untouched pages are all the same page of zeros, which the cache holds; and pages alike might be made one by the host.
  const words = new Uint32Array(memory.buffer);
  for (let page = 0; page * PAGE < memory.buffer.byteLength; page++) words.fill(page, (page * PAGE) / 4, ((page + 1) * PAGE) / 4);
  return memory;
}

/** Reads memory with read.wat: one thread's share of each matrix, one matrix after the other, as the engine reads weights. */
export class ReadBandwidth {
  readonly #reader: Reader;
  readonly #matrices: number;
  readonly #threads: number;
  readonly #member: number;

  /** @param module read.wat compiled, for memory that is shared if there are `threads` threads, of which this is number `member` */
  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, threads = 1, member = 0) {
    this.#reader = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Reader;
    this.#matrices = matricesOf(memory.buffer.byteLength);
    this.#threads = threads;
    this.#member = member;
  }

  /** Reads everything a few times. Returns how many bytes that was. */
  run(): number {
    const share = MATRIX / this.#threads;
    for (let i = 0; i < PASSES * this.#matrices; i++) this.#reader.read((i % this.#matrices) * MATRIX + this.#member * share, share);
    return PASSES * this.#matrices * share;
  }
}
