/** Takes pieces of any size out of a stream of chunks. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next `length` bytes; a view of the chunk where one chunk has them all. Throws when the stream ends before. */
  async take(length: number): Promise<Uint8Array> {
    if (length <= this.#rest.length) return this.#cut(length);
    const out = new Uint8Array(length);
    for (let filled = 0; filled < length; ) {
      if (this.#rest.length === 0) await this.#advance();
      const part = this.#cut(Math.min(length - filled, this.#rest.length));
      out.set(part, filled);
      filled += part.length;
    }
    return out;
  }

  async #advance(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) throw new Error('The stream ended before its bytes were taken.');
    this.#rest = value;
  }

  #cut(length: number): Uint8Array {
    const part = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return part;
  }

  /** Stops whatever produces the chunks. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
