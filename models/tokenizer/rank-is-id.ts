import { BytePairMerger } from './byte-pair-merger.ts';
import type { Merge } from './description.ts';
import { VocabularyMerges } from './merge-rules.ts';
import type { Vocabulary } from './vocabulary.ts';

/**
 * Whether "merge the neighbours whose bytes together are the token with the lowest id" is the same as a model's own list of merges, so that the list need not
 * be stored. `vocabulary` must find exactly the tokens that merges make.
 *
 * The proof: inside the bytes of a token, merges happen in the same order wherever the bytes stand, because a merge across their border would keep the token from
 * ever forming. So it is enough to look at each token alone, just before its last merge: if two symbols are left, they must be a pair from the list.
 * If more are left, neither way ever makes the token. Beyond that, the list must be in the order of its results' ids.
 */
export function rankIsId(merges: Merge[], vocabulary: Vocabulary, byteIds: Int32Array): boolean {
  const listed = new Set<number>();
  const pairKey = (left: number, right: number) => left * vocabulary.size + right;
  let previous = -1;
  for (const { left, right, result } of merges) {
    if (result < previous) return false;
    previous = result;
    listed.add(pairKey(left, right));
  }

  const rules = new AllBut(vocabulary);
  const merger = new BytePairMerger(rules, byteIds);
  for (const result of new Set(merges.map((merge) => merge.result))) {
    const bytes = vocabulary.bytesOf(result);
    if (vocabulary.find(bytes, 0, bytes.length) !== result) return false;
    rules.excluded = result;
    const symbols: number[] = [];
    merger.encode(bytes, symbols);
    if (symbols.length === 2 && !listed.has(pairKey(symbols[0]!, symbols[1]!))) return false;
  }
  return true;
}

class AllBut extends VocabularyMerges {
  excluded = -1;

  override rank(left: number, right: number, bytes: Uint8Array, start: number, end: number): number {
    const rank = super.rank(left, right, bytes, start, end);
    return rank === this.excluded ? -1 : rank;
  }
}
