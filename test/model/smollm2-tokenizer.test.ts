import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSource } from '../../models/sources/index.ts';
import type { Source } from '../../models/sources/source.ts';
import { ChatTemplate } from '../../models/template/chat-template.ts';
import { buildTokenizer } from '../../models/tokenizer/build.ts';
import type { GgufTokenizer } from '../../models/tokenizer/source.ts';
import { Tokenizer } from '../../models/tokenizer/tokenizer.ts';
import { corpus } from '../support/corpus.ts';
import { referenceEncoder } from '../support/huggingface-tokenizer.ts';
import { smollm2Gguf } from '../support/smollm2.ts';

const rust = JSON.parse(readFileSync(new URL('../fixtures/tokenizer/rust-smollm2.json', import.meta.url), 'utf8'));
let source: Source;
let tokenizer: Tokenizer;

beforeAll(async () => {
  source = await openSource(smollm2Gguf());
  tokenizer = Tokenizer.load(buildTokenizer(source.tokenizer!).bytes);
});
afterAll(() => source?.close());

/**
 * The GGUF's tokenizer as a tokenizer.json. Its Digits and ByteLevel steps are written out as expressions, which the JavaScript library translates faithfully;
 * its own Digits knows only 0-9 and its ByteLevel uses JavaScript's \s, where Rust has all numerals and White_Space.
 */
function tokenizerJson({ tokens, merges }: GgufTokenizer): string {
  const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });
  const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split('\\p{N}'), split(gpt2), byteLevel] },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', unk_token: null, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  });
}

/** Texts whose bytes SmolLM2's vocabulary has; the libraries differ about those it has not, and the Rust fixture covers them. */
const isCovered = (text: string) => tokenizer.decode(tokenizer.encode(text)) === text;

describe('the tokenizer of SmolLM2', () => {
  it('gives the ids of @huggingface/tokenizers', () => {
    const reference = referenceEncoder(tokenizerJson(source.tokenizer as GgufTokenizer));
    let tokens = 0;
    for (const text of corpus(1500).filter(isCovered)) {
      const expected = reference(text);
      expect(tokenizer.encode(text), JSON.stringify(text.slice(0, 200))).toEqual(expected);
      tokens += expected.length;
    }
    expect(tokens).toBeGreaterThan(60_000);
  });

  it('gives the ids of the Rust library', () => {
    rust.texts.forEach((text: string, i: number) => {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(rust.ids[i]);
    });
  });

  it('renders and encodes a chat with the default system prompt of its template', () => {
    const prompt = new ChatTemplate(source.chatTemplate!, tokenizer).encode([{ role: 'user', content: 'Hi <|im_end|>' }]);
    expect(prompt.text).toBe(
      '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n',
    );
    expect(prompt.ids.filter((id) => tokenizer.isSpecial(id))).toEqual([1, 2, 1, 2, 1]);
    expect(prompt.thinking).toBe(false);
  });
});
