import { ModelError } from '../model-error.ts';
import { resolveMerges, splitMerge, type TokenizerDescription, tokenBytes } from './description.ts';
import type { AddedToken } from './format.ts';
import { normalizesToNfc, preTokenizerOfGguf } from './pre-tokenizer.ts';
import type { GgufTokenizer } from './source.ts';

const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

/** Reads `tokenizer.ggml.*` metadata. Throws a ModelError for anything but byte-level BPE with a pre-tokenizer we have. */
export function describeGguf(source: GgufTokenizer): TokenizerDescription {
  if (source.model !== 'gpt2')
    throw new ModelError(`The GGUF has a "${source.model}" tokenizer; only byte-level BPE ("gpt2") is supported.`);
  const preTokenizer = preTokenizerOfGguf(source.pre);
  const warnings: string[] = [];
  if (source.pre === 'default') warnings.push('The GGUF does not name its pre-tokenizer ("default"); GPT-2\'s is used.');

  const typeOf = (id: number) => source.types[id] ?? 1;
  const addedTokens: AddedToken[] = [];
  const entries: [string, number][] = [];
  source.tokens.forEach((text, id) => {
    const type = typeOf(id);
    if (type === UNUSED) return;
    if (type === UNKNOWN || type === CONTROL || type === USER_DEFINED) addedTokens.push({ id, text, special: type !== USER_DEFINED });
    else entries.push([text, id]);
  });
  const idOf = new Map(entries);
  for (const token of addedTokens) if (!idOf.has(token.text)) idOf.set(token.text, token.id);

  return {
    tokens: tokenBytes(entries, addedTokens),
    merges: resolveMerges(source.merges.map(splitMerge), idOf, addedTokens, warnings),
    addedTokens,
    preTokenizer,
    nfc: normalizesToNfc(preTokenizer),
    eosId: source.eosId,
    bosId: source.bosId,
    addBos: source.addBos ?? false,
    warnings,
  };
}
