import { ModelError } from '../model-error.ts';
import { resolveMerges, splitMerge, type TokenizerDescription, tokenBytes } from './description.ts';
import type { AddedToken } from './format.ts';
import { preTokenizerOfHf } from './pre-tokenizer.ts';
import type { HuggingFaceTokenizer } from './source.ts';

interface HfAddedToken {
  content: string;
  special?: boolean;
  single_word?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
}

interface TokenizerJson {
  added_tokens?: (HfAddedToken & { id: number })[];
  normalizer?: { type: string; normalizers?: { type: string }[] } | null;
  pre_tokenizer?: unknown;
  decoder?: { type: string } | null;
  model?: {
    type?: string;
    vocab?: Record<string, number>;
    merges?: (string | [string, string])[];
    unk_token?: string | null;
    byte_fallback?: boolean;
    ignore_merges?: boolean;
    continuing_subword_prefix?: string | null;
    end_of_word_suffix?: string | null;
  };
}

type NamedToken = string | { content: string } | null;

interface TokenizerConfigJson {
  added_tokens_decoder?: Record<string, HfAddedToken>;
  eos_token?: NamedToken;
  bos_token?: NamedToken;
  add_bos_token?: boolean;
}

/** Reads tokenizer.json and tokenizer_config.json. Throws a ModelError for anything but byte-level BPE with a pre-tokenizer we have. */
export function describeHf(source: HuggingFaceTokenizer): TokenizerDescription {
  const json = parseJson('tokenizer.json', source.tokenizerJson) as TokenizerJson;
  const config = source.tokenizerConfig === null ? {} : (parseJson('tokenizer_config.json', source.tokenizerConfig) as TokenizerConfigJson);
  const model = checkModel(json);
  const preTokenizer = preTokenizerOfHf(json.pre_tokenizer ?? null);
  const warnings: string[] = [];
  const addedTokens = readAddedTokens(json, config);

  const entries = Object.entries(model.vocab ?? {});
  const idOf = new Map(entries);
  for (const token of addedTokens) if (!idOf.has(token.text)) idOf.set(token.text, token.id);
  const named = (token: NamedToken | undefined) => (token ? (idOf.get(typeof token === 'string' ? token : token.content) ?? null) : null);
  const eosId = named(config.eos_token);
  if (eosId === null) warnings.push('tokenizer_config.json names no eos_token of the vocabulary.');

  return {
    tokens: tokenBytes(entries, addedTokens),
    merges: resolveMerges(
      (model.merges ?? []).map((merge) => (typeof merge === 'string' ? splitMerge(merge) : merge)),
      idOf,
      addedTokens,
      warnings,
    ),
    addedTokens,
    preTokenizer,
    nfc: usesNfc(json.normalizer),
    eosId,
    bosId: named(config.bos_token),
    addBos: config.add_bos_token ?? false,
    warnings,
  };
}

function checkModel(json: TokenizerJson): NonNullable<TokenizerJson['model']> {
  const model = json.model ?? {};
  if (model.type !== 'BPE' || json.decoder?.type !== 'ByteLevel') {
    throw new ModelError(
      `The tokenizer is of the kind "${model.type ?? 'unknown'}" with the decoder "${json.decoder?.type ?? 'none'}"; only byte-level BPE is supported.`,
    );
  }
  const unsupported = (['unk_token', 'byte_fallback', 'ignore_merges', 'continuing_subword_prefix', 'end_of_word_suffix'] as const).find(
    (name) => model[name],
  );
  if (unsupported) throw new ModelError(`The tokenizer uses the BPE option "${unsupported}", which is not supported.`);
  return model;
}

/** tokenizer.json's added tokens and those that only tokenizer_config.json has, by id. */
function readAddedTokens(json: TokenizerJson, config: TokenizerConfigJson): AddedToken[] {
  const byId = new Map<number, HfAddedToken>();
  for (const token of json.added_tokens ?? []) byId.set(token.id, token);
  for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) if (!byId.has(Number(id))) byId.set(Number(id), token);
  return [...byId]
    .sort(([a], [b]) => a - b)
    .map(([id, token]) => {
      const option = (['single_word', 'lstrip', 'rstrip'] as const).find((name) => token[name]);
      if (option) throw new ModelError(`The added token "${token.content}" uses the option "${option}", which is not supported.`);
      return { id, text: token.content, special: token.special ?? false };
    });
}

function usesNfc(normalizer: TokenizerJson['normalizer']): boolean {
  const steps = normalizer?.type === 'Sequence' ? (normalizer.normalizers ?? []) : normalizer ? [normalizer] : [];
  const other = steps.find((step) => step.type !== 'NFC');
  if (other) throw new ModelError(`The tokenizer's normalizer "${other.type}" is not supported; supported are NFC and none.`);
  return steps.length > 0;
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelError(`${name} is not valid JSON.`, { cause });
  }
}
