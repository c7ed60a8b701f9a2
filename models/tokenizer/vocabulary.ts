import { FNV_BASIS, fnv1a, folded } from '../fnv1a.ts';

/**
 * All tokens' bytes in one array, with an open-addressing hash table over it: about 20 bytes per token, where a Map of strings needs some 150.
 */
export class Vocabulary {
  readonly size: number;
  readonly longest: number;
  readonly #text: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #isIndexed: (id: number) => boolean;
  /** id + 1 per slot, 0 for an empty one. Built at the first search: a vocabulary with a merge table may never need it. */
  #slots: Uint32Array | null = null;

  /** `isIndexed` says which ids `find` may return. */
  constructor(text: Uint8Array, offsets: Uint32Array, isIndexed: (id: number) => boolean) {
    this.size = offsets.length - 1;
    this.#text = text;
    this.#offsets = offsets;
    this.#isIndexed = isIndexed;
    let longest = 0;
    for (let id = 0; id < this.size; id++) longest = Math.max(longest, offsets[id + 1]! - offsets[id]!);
    this.longest = longest;
  }

  /** The bytes of a token, a view; empty for an id without a token. */
  bytesOf(id: number): Uint8Array {
    const start = this.#offsets[id];
    return start === undefined ? this.#text.subarray(0, 0) : this.#text.subarray(start, this.#offsets[id + 1] ?? start);
  }

  /** The lowest indexed id whose bytes are bytes[start .. end), or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length > this.longest) return -1;
    this.#slots ??= this.#index();
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hash(bytes, start, end) & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1;
      if (id < 0) return -1;
      const offset = this.#offsets[id]!;
      if (this.#offsets[id + 1]! - offset === length && this.#equals(offset, bytes, start, length)) return id;
    }
  }

  #equals(offset: number, bytes: Uint8Array, start: number, length: number): boolean {
    for (let i = 0; i < length; i++) if (this.#text[offset + i] !== bytes[start + i]) return false;
    return true;
  }

  #index(): Uint32Array {
    const slots = new Uint32Array(2 ** Math.ceil(Math.log2(this.size * 1.6 + 2)));
    const mask = slots.length - 1;
    for (let id = 0; id < this.size; id++) {
      const start = this.#offsets[id]!;
      const end = this.#offsets[id + 1]!;
      if (start === end || !this.#isIndexed(id)) continue;
      let slot = hash(this.#text, start, end) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id + 1;
    }
    return slots;
  }
}

function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = FNV_BASIS;
  for (let i = start; i < end; i++) value = fnv1a(value, bytes[i]!);
  return folded(value);
}
