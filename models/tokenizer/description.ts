import { ModelError } from '../model-error.ts';
import { bytesOfAlphabet } from './byte-alphabet.ts';
import type { AddedToken } from './format.ts';
import type { PreTokenizer } from './pre-tokenizer.ts';

/** A tokenizer as its source tells it, before it is packed. */
export interface TokenizerDescription {
  /** Bytes per id; a hole where an id has no token. */
  tokens: (Uint8Array | undefined)[];
  /** In order of priority. */
  merges: Merge[];
  addedTokens: AddedToken[];
  preTokenizer: PreTokenizer;
  nfc: boolean;
  eosId: number | null;
  bosId: number | null;
  addBos: boolean;
  warnings: string[];
}

export interface Merge {
  left: number;
  right: number;
  result: number;
}

/** Ranks and positions share one float64 in the merger, and no known vocabulary comes near this. */
const MAX_TOKENS = 1 << 20;

/** Bytes per id of a vocabulary in the byte alphabet and of added tokens in plain text, which win where both have an id. */
export function tokenBytes(entries: Iterable<[string, number]>, added: AddedToken[]): (Uint8Array | undefined)[] {
  const tokens: (Uint8Array | undefined)[] = [];
  const encoder = new TextEncoder();
  const put = (id: number, bytes: Uint8Array) => {
    if (!Number.isInteger(id) || id < 0 || id >= MAX_TOKENS)
      throw new ModelError(`The tokenizer has a token with the id ${id}; ids must be 0 to ${MAX_TOKENS - 1}.`);
    while (tokens.length <= id) tokens.push(undefined);
    tokens[id] = bytes;
  };
  for (const [text, id] of entries) put(id, bytesOfAlphabet(text) ?? encoder.encode(text));
  for (const token of added) put(token.id, encoder.encode(token.text));
  return tokens;
}

/**
 * Merges as ids. A merge that makes an added token is left out: plain text must never become one.
 * Throws a ModelError for a merge of tokens that the vocabulary does not have.
 */
export function resolveMerges(
  pairs: (readonly [string, string])[],
  idOf: ReadonlyMap<string, number>,
  added: AddedToken[],
  warnings: string[],
): Merge[] {
  const addedIds = new Set(added.map((token) => token.id));
  const merges: Merge[] = [];
  let dropped = 0;
  for (const [leftText, rightText] of pairs) {
    const left = idOf.get(leftText);
    const right = idOf.get(rightText);
    const result = idOf.get(leftText + rightText);
    if (left === undefined || right === undefined || result === undefined) {
      throw new ModelError(`The tokenizer's merge "${leftText} ${rightText}" uses a token that its vocabulary does not have.`);
    }
    if (addedIds.has(result)) dropped++;
    else merges.push({ left, right, result });
  }
  if (dropped > 0) warnings.push(`${dropped} merges that make added tokens were left out.`);
  return merges;
}

/** Splits GGUF's (and older tokenizer.json files') "left right". */
export function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(' ', 1);
  if (space < 0) throw new ModelError(`The tokenizer's merge "${merge}" is not a pair separated by a space.`);
  return [merge.slice(0, space), merge.slice(space + 1)];
}
