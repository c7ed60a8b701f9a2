import type { MergeTable } from './format.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Which neighbours merge, and which of them first. */
export interface MergeRules {
  /**
   * Rank (lower merges first) of merging the neighbours with ids `left` and `right`, whose bytes together are bytes[start .. end), or -1 if they do not merge.
   */
  rank(left: number, right: number, bytes: Uint8Array, start: number, end: number): number;
  /** Id of the token that a merge of this rank makes. */
  result(rank: number): number;
}

/** Neighbours merge if their bytes together are a token, and its id is the rank. rank-is-id.ts checks that this gives a model's own merges. */
export class VocabularyMerges implements MergeRules {
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  rank(_left: number, _right: number, bytes: Uint8Array, start: number, end: number): number {
    return this.#vocabulary.find(bytes, start, end);
  }

  result(rank: number): number {
    return rank;
  }
}

/** Merges listed one by one: a hash table over the pairs, whose slots hold the merge's index + 1. */
export class ListedMerges implements MergeRules {
  readonly #table: MergeTable;
  readonly #slots: Uint32Array;

  constructor(table: MergeTable) {
    this.#table = table;
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(table.results.length * 1.6 + 2)));
    for (let i = 0; i < table.results.length; i++) {
      const left = table.left[i]!;
      const right = table.right[i]!;
      // A pair that is listed twice keeps its last place, as in the map the reference implementation fills in order.
      this.#slots[this.#slotOf(left, right)] = i + 1;
    }
  }

  rank(left: number, right: number): number {
    return this.#slots[this.#slotOf(left, right)]! - 1;
  }

  result(rank: number): number {
    return this.#table.results[rank]!;
  }

  /** The pair's slot, or the empty one where it would be. */
  #slotOf(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    const mixed = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b);
    for (let slot = (mixed ^ (mixed >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot]! - 1;
      if (index < 0 || (this.#table.left[index] === left && this.#table.right[index] === right)) return slot;
    }
  }
}
