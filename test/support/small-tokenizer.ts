import { buildTokenizer } from '../../models/tokenizer/build.ts';
import type { GgufTokenizer } from '../../models/tokenizer/source.ts';
import { Tokenizer } from '../../models/tokenizer/tokenizer.ts';

/** One character per byte, as GPT-2 writes them: written down independently of the code under test. */
export const BYTE_LETTERS: string[] = (() => {
  const letters = new Array<string>(256);
  let extra = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    letters[byte] = String.fromCharCode(printable ? byte : extra++);
  }
  return letters;
})();

export const QWEN_ADDED = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<think>',
  '</think>',
  '<tool_call>',
  '</tool_call>',
  '<tool_response>',
  '</tool_response>',
];

/** The 256 bytes, then one token for each merge in order (or `tokens`), then added tokens: those with a `|` are control tokens. */
export function smallSource(options: { merges?: string[]; tokens?: string[]; added?: string[]; pre?: string } = {}): GgufTokenizer {
  const merges = options.merges ?? ['h e', 'l l', 'he ll', 'hell o', 'Ġ w', 'o r', 'Ġw or', 'l d', 'Ġwor ld'];
  const added = options.added ?? QWEN_ADDED;
  const ordinary = [...BYTE_LETTERS, ...(options.tokens ?? merges.map((merge) => merge.replace(' ', '')))];
  return {
    kind: 'gguf',
    model: 'gpt2',
    pre: options.pre ?? 'qwen35',
    tokens: [...ordinary, ...added],
    types: [...ordinary.map(() => 1), ...added.map((text) => (text.includes('|') ? 3 : 4))],
    merges,
    eosId: added.includes('<|im_end|>') ? ordinary.length + added.indexOf('<|im_end|>') : null,
    bosId: null,
    addBos: false,
  };
}

export const smallTokenizer = (options: Parameters<typeof smallSource>[0] = {}): Tokenizer =>
  Tokenizer.load(buildTokenizer(smallSource(options)).bytes);
