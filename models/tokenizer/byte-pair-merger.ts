import type { MergeRules } from './merge-rules.ts';
import { MinHeap } from './min-heap.ts';

/** A merge waiting in the heap is rank * 2^32 + position: the lowest rank first, the leftmost of equal ranks first. */
const POSITION_RANGE = 2 ** 32;
/** Working memory kept between pieces, in bytes of text; longer pieces get their own. */
const KEPT_CAPACITY = 4096;

/**
 * Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) of one piece: starting from single bytes, the neighbours with the lowest rank merge until none can.
 * Symbols are a linked list over byte positions and candidate merges wait in a heap, so that n bytes cost n log n however long the piece is.
 */
export class BytePairMerger {
  readonly #rules: MergeRules;
  readonly #byteIds: Int32Array;
  readonly #heap = new MinHeap();
  #capacity = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Per position where a symbol starts: its id, the next and previous symbol's position, and the rank of merging it with the next (-1: none). */
  #ids = new Int32Array(0);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #ranks = new Int32Array(0);

  /** `byteIds[b]` is the token of the single byte b, or -1: such bytes are dropped, as the reference implementation does. */
  constructor(rules: MergeRules, byteIds: Int32Array) {
    this.#rules = rules;
    this.#byteIds = byteIds;
  }

  /** Appends the ids of one piece to `out`. */
  encode(piece: Uint8Array, out: number[]): void {
    this.#reserve(piece.length);
    let count = 0;
    for (const byte of piece) {
      const id = this.#byteIds[byte]!;
      if (id < 0) continue;
      this.#bytes[count] = byte;
      this.#ids[count] = id;
      this.#next[count] = count + 1;
      this.#previous[count] = count - 1;
      count++;
    }
    for (let position = 0; position < count; position++) this.#rankPair(position, count);
    this.#mergeAll(count);
    for (let position = 0; position < count; position = this.#next[position]!) out.push(this.#ids[position]!);
    if (this.#capacity > KEPT_CAPACITY) this.#capacity = 0;
  }

  #mergeAll(count: number): void {
    for (let key = this.#heap.pop(); key !== undefined; key = this.#heap.pop()) {
      const position = key % POSITION_RANGE;
      const rank = (key - position) / POSITION_RANGE;
      // A merge nearby has changed this pair since it was queued.
      if (this.#ranks[position] !== rank) continue;
      const right = this.#next[position]!;
      const after = this.#next[right]!;
      this.#ids[position] = this.#rules.result(rank);
      this.#next[position] = after;
      this.#ranks[right] = -1;
      if (after < count) this.#previous[after] = position;
      this.#rankPair(position, count);
      const before = this.#previous[position]!;
      if (before >= 0) this.#rankPair(before, count);
    }
  }

  #rankPair(position: number, count: number): void {
    const right = this.#next[position]!;
    const rank = right < count ? this.#rules.rank(this.#ids[position]!, this.#ids[right]!, this.#bytes, position, this.#next[right]!) : -1;
    this.#ranks[position] = rank;
    if (rank >= 0) this.#heap.push(rank * POSITION_RANGE + position);
  }

  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    this.#capacity = Math.max(length, 256);
    this.#bytes = new Uint8Array(this.#capacity);
    this.#ids = new Int32Array(this.#capacity);
    this.#next = new Int32Array(this.#capacity);
    this.#previous = new Int32Array(this.#capacity);
    this.#ranks = new Int32Array(this.#capacity);
  }
}
