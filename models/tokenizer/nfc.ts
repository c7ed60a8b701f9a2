/**
 * Marks in a row that are put into order together, which takes the square of their number. No writing has a tenth of it; Unicode's Stream-Safe Text Format
 * (https://unicode.org/reports/tr15/#Stream_Safe_Text_Format) ends a run after 30.
 */
const MOST_MARKS = 128;

const LONG_RUN = new RegExp(`\\p{M}{${MOST_MARKS + 1}}`, 'u');
const PIECES = new RegExp(`\\P{M}*\\p{M}{0,${MOST_MARKS}}`, 'gu');

/**
 * Normalization form C, in a time that follows from the text's length: 128,000 marks in a row keep `normalize` busy for ten seconds. Such a run is brought into form
 * piece by piece. All other text comes out as it should: what is no mark never moves over, or joins with, a mark before it.
 */
export function toNfc(text: string): string {
  if (!LONG_RUN.test(text)) return text.normalize('NFC');
  return Array.from(text.matchAll(PIECES), ([piece]) => piece.normalize('NFC')).join('');
}
