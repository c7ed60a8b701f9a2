import { describe, expect, it } from 'vitest';
import { toNfc } from '../../../models/tokenizer/nfc.ts';
import { rng } from '../../support/rng.ts';

/** An acute accent and a dot below, which are to come the other way round. */
const unordered = '\u0301\u0323';

/** Letters, marks of several classes, parts of Hangul syllables, vowels of two parts (of which some are no marks) and what is composed already. */
const characters = [
  ...'ae \u0301\u0323\u0327\u0308\u1100\u1161\u11a8\uac00\u09c7\u09be\u0dd9\u0dcf\u3099か\u{16d67}\u{16d63}\u{110b9}\u{110ba}é\u1ea1\u0f71\u0f72',
];

describe('normalization form C', () => {
  it('of more marks in a row than could be put into order together in an hour', () => {
    const marks = 1_000_000;
    const made = toNfc(`a${unordered.repeat(marks / 2)}e\u0301`);
    expect(made.length).toBe(marks + 1);
    expect(made.startsWith('\u1ea1')).toBe(true);
    expect(made.endsWith('\u00e9')).toBe(true);
  });

  it('of all other text is what it should be, beside such a run too', () => {
    const { u } = rng(1);
    const run = `x${unordered.repeat(100)}y`;
    for (let i = 0; i < 2_000; i++) {
      const text = `a${Array.from({ length: 12 }, () => characters[Math.floor(u() * characters.length)]).join('')}`;
      const made = text.normalize('NFC');
      expect(toNfc(text)).toBe(made);
      expect(toNfc(`${text}${run}${text}`)).toBe(`${made}${toNfc(run)}${made}`);
    }
  });
});
