import { ModelError } from '../model-error.ts';

/**
 * Pre-tokenizers: the regular expressions that cut text into pieces before BPE. Merges never cross a piece.
 *
 * The originals are written for Oniguruma, whose `\s` is Unicode's White_Space. JavaScript's `\s` has U+FEFF instead of U+0085, so the property is named here.
 * Its `(?i:'s)` also matches U+017F, the long s, which folds to s.
 */
export const PRE_TOKENIZERS = ['qwen35', 'qwen2', 'smollm', 'gpt2'] as const;
export type PreTokenizer = (typeof PRE_TOKENIZERS)[number];

const S = '\\p{White_Space}';
const NOT_S = '\\P{White_Space}';
const CONTRACTIONS = "'(?:[sS\\u017f]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])";
const GPT2_START = `'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+`;
const SYMBOLS = ` ?[^${S}\\p{L}\\p{N}]+`;

const PATTERNS: Record<PreTokenizer, string> = {
  // Marks stay with their letters: the only difference from Qwen2.
  qwen35: `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^${S}\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${S}*[\\r\\n]+|${S}+(?!${NOT_S})|${S}+`,
  qwen2: `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${SYMBOLS}[\\r\\n]*|${S}*[\\r\\n]+|${S}+(?!${NOT_S})|${S}+`,
  // Digits(individual) cuts first, so white space that ends where a digit begins is at the end of its text: the look-ahead treats digits as an end.
  smollm: `\\p{N}|${GPT2_START}|${SYMBOLS}|${S}+(?![^${S}\\p{N}])|${S}+`,
  gpt2: `${GPT2_START}| ?\\p{N}+|${SYMBOLS}|${S}+(?!${NOT_S})|${S}+`,
};

/** The expression whose successive matches are the pieces; every character is in exactly one. The caller owns its lastIndex. */
export const piecePattern = (kind: PreTokenizer): RegExp => new RegExp(PATTERNS[kind], 'gu');

/** The models of these GGUF names normalize to NFC in their tokenizer.json; GGUF itself does not say so. */
export const normalizesToNfc = (kind: PreTokenizer): boolean => kind === 'qwen35' || kind === 'qwen2';

const GGUF_NAMES: Record<string, PreTokenizer> = {
  qwen35: 'qwen35',
  qwen2: 'qwen2',
  smollm: 'smollm',
  'gpt-2': 'gpt2',
  default: 'gpt2',
};

/** Pre-tokenizer of a GGUF's `tokenizer.ggml.pre`. Throws when it is one we do not have. */
export function preTokenizerOfGguf(name: string): PreTokenizer {
  const kind = Object.hasOwn(GGUF_NAMES, name) ? GGUF_NAMES[name] : undefined;
  if (!kind) throw new ModelError(`The pre-tokenizer "${name}" is not supported; supported are ${Object.keys(GGUF_NAMES).join(', ')}.`);
  return kind;
}

const ANY_CASE = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"];
const HF_PATTERNS: [PreTokenizer, string][] = [
  ['qwen35', '|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'],
  ['qwen2', '|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'],
];

interface HfPreTokenizer {
  type: string;
  pretokenizers?: HfPreTokenizer[];
  pattern?: { Regex?: string; String?: string };
  behavior?: string;
  invert?: boolean;
  individual_digits?: boolean;
  add_prefix_space?: boolean;
  use_regex?: boolean;
}

/** Pre-tokenizer of tokenizer.json's `pre_tokenizer`. Throws when it is one we do not have. */
export function preTokenizerOfHf(value: unknown): PreTokenizer {
  const node = value as HfPreTokenizer | null;
  const steps = node?.type === 'Sequence' ? (node.pretokenizers ?? []) : node ? [node] : [];
  const kind = kindOfSteps(steps);
  if (!kind)
    throw new ModelError(
      `The pre-tokenizer ${describe(steps)} is not supported; supported are those of Qwen3.5, Qwen2/3, SmolLM2 and GPT-2.`,
    );
  return kind;
}

function kindOfSteps(steps: HfPreTokenizer[]): PreTokenizer | undefined {
  const last = steps.at(-1);
  if (last?.type !== 'ByteLevel' || last.add_prefix_space) return undefined;
  const usesRegex = last.use_regex ?? true;
  const first = steps[0];
  if (steps.length === 1) return usesRegex ? 'gpt2' : undefined;
  if (steps.length !== 2 || !first) return undefined;
  if (first.type === 'Digits') return first.individual_digits && usesRegex ? 'smollm' : undefined;
  if (first.type !== 'Split' || first.behavior !== 'Isolated' || first.invert || usesRegex) return undefined;
  return HF_PATTERNS.find(([, rest]) => ANY_CASE.some((start) => first.pattern?.Regex === start + rest))?.[0];
}

const describe = (steps: HfPreTokenizer[]): string =>
  steps.length === 0
    ? '"none"'
    : `"${steps.map((step) => step.type + (step.pattern ? ` ${JSON.stringify(step.pattern)}` : '')).join(' + ')}"`;
