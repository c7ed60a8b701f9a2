import { ModelError } from '../../model-error.ts';
import type { RandomAccessFile } from '../file.ts';

/** A metadata value. 64-bit integers become numbers. */
export type GgufValue = number | boolean | string | GgufValue[];

/** Type numbers of metadata values: `gguf_metadata_value_type` in docs/gguf.md. */
const STRING = 8;
const ARRAY = 9;
const SCALARS: Record<number, [bytes: number, read: (view: DataView, at: number) => number | boolean]> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => Number(view.getBigUint64(at, true))],
  11: [8, (view, at) => Number(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
};

const WINDOW_BYTES = 1 << 20;
/** Longer than any array or string in a real header; guards against allocating what a damaged length asks for. */
const MAX_LENGTH = 1 << 28;
/** Values in all arrays of a header: a vocabulary of a quarter of a million has a million and a half. */
const MAX_VALUES = 1 << 23;

/**
 * Reads the header of a GGUF file in order. A header holds hundreds of thousands of tiny strings, so bytes are fetched a megabyte at a time, and only the
 * fetch is asynchronous: `ensure` first, then synchronous reads.
 */
export class GgufCursor {
  /** Of the next byte to read, from the start of the file. */
  position = 0;
  #file: RandomAccessFile;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);
  #start = 0;
  #valuesLeft = MAX_VALUES;
  /** Keeps a leading U+FEFF: it is a token of its own in some vocabularies. */
  #text = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(file: RandomAccessFile) {
    this.#file = file;
  }

  async u32(): Promise<number> {
    return Number(this.#scalar(4, await this.#ensure(4)));
  }

  /** A 64-bit count, offset or dimension. */
  async count(): Promise<number> {
    const value = Number(this.#scalar(10, await this.#ensure(8)));
    if (!Number.isSafeInteger(value)) throw new ModelError(`${this.#file.name} is damaged: it holds a count of ${value}.`);
    return value;
  }

  async string(): Promise<string> {
    const length = await this.#length();
    return this.#string(length, await this.#ensure(length));
  }

  /** A value of metadata type `type`. */
  async value(type: number): Promise<GgufValue> {
    if (type === STRING) return this.string();
    if (type === ARRAY) return this.#array();
    const scalar = SCALARS[type];
    if (!scalar) throw new ModelError(`${this.#file.name} is damaged: it has metadata of type ${type}.`);
    return this.#scalar(type, await this.#ensure(scalar[0]));
  }

  async #array(): Promise<GgufValue[]> {
    const type = await this.u32();
    if (type === ARRAY) throw new ModelError(`${this.#file.name} has lists of lists in its header, which are not supported.`);
    const length = await this.count();
    this.#valuesLeft -= length;
    if (this.#valuesLeft < 0)
      throw new ModelError(`${this.#file.name} is damaged: its header has arrays of more than ${MAX_VALUES} values.`);
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.#fromWindow(type) ?? (await this.value(type)));
    return values;
  }

  /** The next scalar or string if the window holds it already: awaiting each of 250,000 tokens would take longer than everything else. */
  #fromWindow(type: number): GgufValue | undefined {
    const at = this.position - this.#start;
    const rest = this.#bytes.length - at;
    if (type === STRING) {
      const length = rest < 8 ? Number.POSITIVE_INFINITY : Number(this.#view.getBigUint64(at, true));
      if (8 + length > rest) return undefined;
      this.position += 8;
      return this.#string(length, at + 8);
    }
    const scalar = SCALARS[type];
    return scalar && scalar[0] <= rest ? this.#scalar(type, at) : undefined;
  }

  async #length(): Promise<number> {
    const length = await this.count();
    if (length > MAX_LENGTH) throw new ModelError(`${this.#file.name} is damaged: its header holds a length of ${length}.`);
    return length;
  }

  #scalar(type: number, at: number): number | boolean {
    const [bytes, read] = SCALARS[type]!;
    this.position += bytes;
    return read(this.#view, at);
  }

  #string(length: number, at: number): string {
    this.position += length;
    return this.#text.decode(this.#bytes.subarray(at, at + length));
  }

  /** Makes the next `length` bytes available and answers where they start in the window. */
  async #ensure(length: number): Promise<number> {
    const at = this.position - this.#start;
    if (at + length <= this.#bytes.length) return at;
    const size = Math.max(length, Math.min(WINDOW_BYTES, this.#file.size - this.position));
    this.#bytes = await this.#file.read(this.position, size);
    this.#view = new DataView(this.#bytes.buffer);
    this.#start = this.position;
    return 0;
  }
}
