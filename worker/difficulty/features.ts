import { FNV_BASIS, fnv1a } from '../../models/fnv1a.ts';

/**
 * What the difficulty model sees of a prompt. models/router/train/features.py is the same code in Python, and test/fixtures/difficulty.json holds both to
 * it. Everything works on UTF-8 bytes and folds only ASCII case, so that no Unicode table can make the two differ.
 */

/** Of a longer prompt only the last bytes count: the question stands at the end. */
export const MAX_BYTES = 4096;

/** The dense features, in order. log_x is ln(1 + x); shares are of bytes or words. */
export const DENSE_NAMES = [
  'log_bytes',
  'log_words',
  'letters_per_word',
  'digit_share',
  'log_numbers',
  'symbol_share',
  'upper_share',
  'log_questions',
  'log_commas',
  'log_periods',
  'log_quotes',
  'distinct_word_share',
  'log_newlines',
  'non_ascii_share',
  'log_words_per_sentence',
  'log_negations',
  'log_calculation_words',
  'log_logic_words',
] as const;

export interface PromptFeatures {
  /** Distinct 31-bit hashes of n-grams, in no order. */
  ids: Int32Array;
  /** In the order of DENSE_NAMES. */
  dense: Float32Array;
}

const NEGATIONS = new Set(['not', 'except', 'never', 'none', 'false', 'incorrect', 'least', 'without']);
const CALCULATION_WORDS = new Set(
  ['many', 'much', 'calculate', 'find', 'probability', 'percent', 'total', 'compute', 'solve', 'value', 'each', 'per'], //
);
const LOGIC_WORDS = new Set(['if', 'then', 'because', 'therefore', 'suppose', 'given', 'must', 'unless', 'all', 'some']);
const SYMBOLS = new Set([...'+-*/=^<>()[]{}$%\\|'].map((symbol) => symbol.charCodeAt(0)));

const ZERO = 48;
const SPACE = 32;
const WORD_START = fnv1a(FNV_BASIS, 'w'.charCodeAt(0));
const CHAR_START = fnv1a(FNV_BASIS, 'c'.charCodeAt(0));

export function promptFeatures(text: string): PromptFeatures {
  const raw = lastBytes(text);
  const folded = raw.map(fold);
  const tokens = tokenize(folded);
  return { ids: hashedIds(folded, tokens), dense: denseFeatures(raw, folded, tokens) };
}

/** A UTF-16 unit is at least one byte, so MAX_BYTES units always hold the last MAX_BYTES bytes. */
function lastBytes(text: string): Uint8Array {
  // A lone half of a pair would encode as three bytes that the whole text does not have, but they lie before the last MAX_BYTES.
  const bytes = new TextEncoder().encode(text.slice(-MAX_BYTES - 1));
  return bytes.subarray(Math.max(0, bytes.length - MAX_BYTES));
}

/** ASCII letters to lower case, every digit to 0. */
function fold(byte: number): number {
  if (byte >= 65 && byte <= 90) return byte + 32;
  return byte >= 48 && byte <= 57 ? ZERO : byte;
}

const isLetter = (byte: number): boolean => (byte >= 97 && byte <= 122) || byte >= 128;

/** Starts and ends of words (runs of a-z, 0 and bytes from 0x80) and of single punctuation bytes; space and control characters separate. */
function tokenize(bytes: Uint8Array): [start: number, end: number][] {
  const tokens: [number, number][] = [];
  let start = -1;
  for (let i = 0; i <= bytes.length; i++) {
    const byte = i < bytes.length ? bytes[i]! : SPACE;
    if (isLetter(byte) || byte === ZERO) {
      if (start < 0) start = i;
      continue;
    }
    if (start >= 0) tokens.push([start, i]);
    start = -1;
    if (byte > SPACE && byte < 127) tokens.push([i, i + 1]);
  }
  return tokens;
}

/** Tokens and pairs of neighbours, and bytes 3 to 5 of each word between two spaces. */
function hashedIds(bytes: Uint8Array, tokens: [number, number][]): Int32Array {
  const ids = new HashSet();
  tokens.forEach(([start, end], index) => {
    let state = hashRange(bytes, start, end, WORD_START);
    ids.add(state);
    const next = tokens[index + 1];
    if (next) {
      state = hashRange(bytes, next[0], next[1], fnv1a(state, SPACE));
      ids.add(state);
    }
    const first = bytes[start]!;
    if (isLetter(first) || first === ZERO) addCharacterGrams(bytes, start, end, ids);
  });
  return ids.values();
}

function hashRange(bytes: Uint8Array, start: number, end: number, state: number): number {
  let hash = state;
  for (let i = start; i < end; i++) hash = fnv1a(hash, bytes[i]!);
  return hash;
}

function addCharacterGrams(bytes: Uint8Array, start: number, end: number, ids: HashSet): void {
  const padded = (i: number): number => (i < start || i >= end ? SPACE : bytes[i]!);
  for (let at = start - 1; at + 2 <= end; at++) {
    let state = fnv1a(fnv1a(CHAR_START, padded(at)), padded(at + 1));
    for (let i = at + 2; i <= Math.min(at + 4, end); i++) {
      state = fnv1a(state, padded(i));
      ids.add(state);
    }
  }
}

/** Distinct 31-bit numbers, at most a few times MAX_BYTES of them: three times as fast as a Set. */
class HashSet {
  static readonly SLOTS = 1 << 16;
  readonly #slots = new Int32Array(HashSet.SLOTS);
  readonly #values: number[] = [];

  add(hash: number): void {
    const value = hash & 0x7fffffff;
    // Slots hold value + 1 (as int32, so the largest wraps to the least), because 0 means empty.
    const mark = (value + 1) | 0;
    let slot = value & (HashSet.SLOTS - 1);
    while (this.#slots[slot] !== 0) {
      if (this.#slots[slot] === mark) return;
      slot = (slot + 1) & (HashSet.SLOTS - 1);
    }
    this.#slots[slot] = mark;
    this.#values.push(value);
  }

  values(): Int32Array {
    return Int32Array.from(this.#values);
  }
}

function denseFeatures(raw: Uint8Array, folded: Uint8Array, tokens: [number, number][]): Float32Array {
  const decoder = new TextDecoder('latin1');
  const words = tokens.filter(([start]) => isLetter(folded[start]!)).map(([start, end]) => decoder.decode(folded.subarray(start, end)));
  const numbers = tokens.filter(([start]) => folded[start] === ZERO).length;
  const letters = words.reduce((sum, word) => sum + word.length, 0);
  const count = (test: (byte: number) => boolean): number => raw.reduce((sum, byte) => sum + (test(byte) ? 1 : 0), 0);
  const occurrences = (character: string): number => count((byte) => byte === character.charCodeAt(0));
  const listed = (names: Set<string>): number => words.reduce((sum, word) => sum + (names.has(word) ? 1 : 0), 0);
  const share = (n: number): number => n / Math.max(1, raw.length);
  const [questions, periods] = [occurrences('?'), occurrences('.')];
  return Float32Array.of(
    Math.log1p(raw.length),
    Math.log1p(words.length),
    letters / Math.max(1, words.length),
    share(count((byte) => byte >= 48 && byte <= 57)),
    Math.log1p(numbers),
    share(count((byte) => SYMBOLS.has(byte))),
    share(count((byte) => byte >= 65 && byte <= 90)),
    Math.log1p(questions),
    Math.log1p(occurrences(',')),
    Math.log1p(periods),
    Math.log1p(occurrences('"')),
    new Set(words).size / Math.max(1, words.length),
    Math.log1p(occurrences('\n')),
    share(count((byte) => byte >= 128)),
    Math.log1p(words.length / (1 + periods + questions + occurrences('!'))),
    Math.log1p(listed(NEGATIONS)),
    Math.log1p(listed(CALCULATION_WORDS)),
    Math.log1p(listed(LOGIC_WORDS)),
  );
}
