/** Writing systems that tokenizers treat alike. */
export const SCRIPTS = ['Latin', 'Cyrillic', 'Greek', 'Han', 'Kana', 'Hangul', 'Arabic', 'Hebrew', 'Indic', 'Thai', 'Other'] as const;
export type Script = (typeof SCRIPTS)[number];

/** Characters of a text by what they cost in tokens, in UTF-16 units. */
export interface CharacterCounts {
  letters: Record<Script, number>;
  /** Latin letters outside ASCII, which `letters.Latin` counts too. */
  accented: number;
  digits: number;
  symbols: number;
  lines: number;
}

const SYMBOLS = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';

/** Kinds of the ASCII characters: 0 nothing, 1 letter, 2 digit, 3 symbol, 4 line feed. */
const ASCII = Uint8Array.from({ length: 128 }, (_, unit) => {
  const character = String.fromCharCode(unit);
  if (/[a-z]/i.test(character)) return 1;
  if (/\d/.test(character)) return 2;
  return character === '\n' ? 4 : SYMBOLS.includes(character) ? 3 : 0;
});

const noLetters = Object.fromEntries(SCRIPTS.map((script) => [script, 0])) as Record<Script, number>;

export function countCharacters(text: string): CharacterCounts {
  const letters = { ...noLetters };
  const ascii = new Uint32Array(5);
  let accented = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) {
      ascii[ASCII[unit]!]! += 1;
      continue;
    }
    const script = scriptOf(unit);
    if (script === 'Latin') accented += 1;
    if (script) letters[script] += 1;
  }
  letters.Latin += ascii[1]! + accented;
  return { letters, accented, digits: ascii[2]!, symbols: ascii[3]!, lines: ascii[4]! };
}

/** By Unicode block, roughly. Null for punctuation outside ASCII. */
function scriptOf(unit: number): Script | null {
  if (unit < 0xc0) return null;
  if (unit < 0x250) return 'Latin';
  if (unit >= 0x370 && unit < 0x400) return 'Greek';
  if (unit >= 0x400 && unit < 0x530) return 'Cyrillic';
  if (unit >= 0x590 && unit < 0x600) return 'Hebrew';
  if (unit >= 0x600 && unit < 0x780) return 'Arabic';
  if (unit >= 0x900 && unit < 0xe00) return 'Indic';
  if (unit >= 0xe00 && unit < 0xe80) return 'Thai';
  if (unit >= 0x1e00 && unit < 0x1f00) return 'Latin';
  if (unit >= 0x2000 && unit < 0x2070) return null;
  if (unit >= 0x3000 && unit < 0x3040) return null;
  if (unit >= 0x3040 && unit < 0x3100) return 'Kana';
  if (unit >= 0x3400 && unit < 0xa000) return 'Han';
  if ((unit >= 0xac00 && unit < 0xd7b0) || (unit >= 0x1100 && unit < 0x1200)) return 'Hangul';
  return unit >= 0xff00 && unit < 0xff66 ? null : 'Other';
}

/** Where most letters belong; Latin for a text without letters. */
export function mainScript({ letters }: CharacterCounts): Script {
  // A Japanese text has many characters of both, and only kana tells it from Chinese.
  if (letters.Kana > 0 && letters.Kana * 5 > letters.Han) return letters.Kana + letters.Han > letters.Latin ? 'Kana' : 'Latin';
  return SCRIPTS.reduce((most, script) => (letters[script] > letters[most] ? script : most));
}

/**
 * UTF-16 units per token, counted with the vocabulary of Qwen3 (151,643 tokens) on a paragraph of each. A smaller vocabulary needs more tokens: what
 * engines report corrects that.
 */
const UNITS_PER_TOKEN: Record<Script, number> = {
  Latin: 3.3,
  Cyrillic: 3.1,
  Greek: 1.1,
  Han: 1.4,
  Kana: 1.35,
  Hangul: 1.5,
  Arabic: 2.7,
  Hebrew: 2.4,
  Indic: 1.05,
  Thai: 1.6,
  Other: 0.7,
};
const ENGLISH_UNITS_PER_TOKEN = 4.5;
const TOKENS_PER_ACCENT = 0.8;
const SYMBOLS_PER_TOKEN = 1.7;
const LINES_PER_TOKEN = 2.5;

/** Tokens that a text with these characters probably has. Spaces count nothing: they go with the word after them. */
export function tokensOf(counts: CharacterCounts, english: boolean): number {
  const { letters, accented, digits, symbols, lines } = counts;
  const words = SCRIPTS.reduce(
    (sum, script) => sum + letters[script] / (script === 'Latin' && english ? ENGLISH_UNITS_PER_TOKEN : UNITS_PER_TOKEN[script]),
    0,
  );
  return words + accented * TOKENS_PER_ACCENT + digits + symbols / SYMBOLS_PER_TOKEN + lines / LINES_PER_TOKEN;
}
