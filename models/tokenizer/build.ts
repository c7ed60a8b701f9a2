import { ModelError } from '../model-error.ts';
import { breakCharacter } from './added-token.ts';
import { describeGguf } from './describe-gguf.ts';
import { describeHf } from './describe-hf.ts';
import type { Merge, TokenizerDescription } from './description.ts';
import { type MergeTable, writeTokenizer } from './format.ts';
import { rankIsId } from './rank-is-id.ts';
import type { TokenizerSource } from './source.ts';
import { Vocabulary } from './vocabulary.ts';

export interface BuiltTokenizer {
  /** `tokenizer.bin` of a pack (format.ts). */
  bytes: Uint8Array;
  /** Ids from here up are padding. */
  tokenCount: number;
  /** Sentences for the person who packs the model. */
  warnings: string[];
}

/** Makes the compact tokenizer of a pack. Throws a ModelError that says in a sentence what is not supported or wrong. */
export function buildTokenizer(source: TokenizerSource): BuiltTokenizer {
  const description = describe(source);
  const { tokens, merges, addedTokens, warnings } = description;
  if (addedTokens.some(({ text }) => typeof text !== 'string'))
    throw new ModelError('The tokenizer is damaged: an added token has no text.');
  const unsafe = addedTokens.find((token) => token.special && breakCharacter(token.text) === undefined);
  if (unsafe) throw new ModelError(`The control token "${unsafe.text}" looks like a word, and could not be told from a user's text.`);

  const { text, offsets } = joinTokens(tokens);
  const byteIds = singleByteIds(description);
  const missing = byteIds.reduce((count, id) => count + (id < 0 ? 1 : 0), 0);
  if (missing === byteIds.length) throw new ModelError('The tokenizer has no tokens for single bytes; it is not byte-level BPE.');
  if (missing > 0) warnings.push(`${missing} of the 256 bytes have no token; text that needs them loses them.`);

  const produced = new Set(merges.map((merge) => merge.result));
  const vocabulary = new Vocabulary(text, offsets, (id) => produced.has(id));
  const isRankId = rankIsId(merges, vocabulary, byteIds);
  const added = new Set(addedTokens.map((token) => token.id));
  const isMergeless = (id: number) => tokens[id] !== undefined && tokens[id].length > 1 && !produced.has(id) && !added.has(id);

  const bytes = writeTokenizer({
    header: {
      preTokenizer: description.preTokenizer,
      nfc: description.nfc,
      addedTokens,
      mergeless: isRankId ? [...tokens.keys()].filter(isMergeless) : [],
      eosId: description.eosId,
      bosId: description.bosId,
      addBos: description.addBos,
    },
    offsets,
    text,
    merges: isRankId ? null : mergeTable(merges),
  });
  return { bytes, tokenCount: tokens.length, warnings };
}

/** Files have a number where a list or a text belongs only when they are damaged. */
function describe(source: TokenizerSource): TokenizerDescription {
  try {
    return source.kind === 'hf' ? describeHf(source) : describeGguf(source);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new ModelError('The tokenizer is damaged: one of its parts is not of the kind it should be.', { cause });
  }
}

function joinTokens(tokens: (Uint8Array | undefined)[]): { text: Uint8Array; offsets: Uint32Array } {
  const offsets = new Uint32Array(tokens.length + 1);
  tokens.forEach((bytes, id) => {
    offsets[id + 1] = offsets[id]! + (bytes?.length ?? 0);
  });
  const text = new Uint8Array(offsets[tokens.length]!);
  tokens.forEach((bytes, id) => {
    if (bytes) text.set(bytes, offsets[id]);
  });
  return { text, offsets };
}

function singleByteIds({ tokens, addedTokens }: TokenizerDescription): Int32Array {
  const ids = new Int32Array(256).fill(-1);
  const added = new Set(addedTokens.map((token) => token.id));
  tokens.forEach((bytes, id) => {
    if (bytes?.length === 1 && !added.has(id)) ids[bytes[0]!] = id;
  });
  return ids;
}

const mergeTable = (merges: Merge[]): MergeTable => ({
  left: Uint32Array.from(merges, (merge) => merge.left),
  right: Uint32Array.from(merges, (merge) => merge.right),
  results: Uint32Array.from(merges, (merge) => merge.result),
});
