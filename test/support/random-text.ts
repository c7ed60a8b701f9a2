/** Linear congruential generator, so that a failing text can be made again from its seed. Returns integers below `limit`. */
export function randomIntegers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Ranges of code points where tokenizers tend to differ: ASCII, controls, Latin, combining marks, Indic, CJK, Hangul and its parts, emoji, spaces, digits, ... */
const RANGES = [
  [0x20, 0x7e],
  [0x20, 0x7e],
  [0x00, 0x20],
  [0x80, 0x180],
  [0x300, 0x36f],
  [0x600, 0x6ff],
  [0x900, 0x97f],
  [0xe00, 0xe7f],
  [0x1100, 0x11ff],
  [0x2000, 0x206f],
  [0x2150, 0x218f],
  [0x2460, 0x24ff],
  [0x3040, 0x30ff],
  [0x4e00, 0x4fff],
  [0xac00, 0xac80],
  [0xfb00, 0xfb06],
  [0xfe00, 0xfe0f],
  [0xff00, 0xff5e],
  [0x1d400, 0x1d4ff],
  [0x1f600, 0x1f64f],
] as const;
const SNIPPETS = [
  "'s",
  "'RE",
  "'ll",
  "'\u017f",
  ' ',
  '  ',
  '\n',
  '\r\n',
  '\t',
  '\u0085',
  '\ufeff',
  '\u00a0',
  '\u3000',
  '\u2028',
  '  1',
  '42',
  '\u00bd',
  'e\u0301',
  '\u0915\u094d',
  'the',
  ' quick',
  '_',
  '\u0000',
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  '\u{1f1e9}\u{1f1ea}',
  'return {',
  '</div>',
  '<|im_start|>',
  '<think>',
];

/** A text of up to 24 parts, mostly from one script. */
export function randomText(next: (limit: number) => number): string {
  const main = RANGES[next(RANGES.length)]!;
  let text = '';
  for (let parts = 1 + next(24); parts > 0; parts--) {
    const [low, high] = next(4) === 0 ? RANGES[next(RANGES.length)]! : main;
    text += next(4) === 0 ? SNIPPETS[next(SNIPPETS.length)]! : String.fromCodePoint(low + next(high - low + 1));
  }
  return text;
}
