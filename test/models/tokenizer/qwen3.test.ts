import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildTokenizer } from '../../../models/tokenizer/build.ts';
import { IncrementalDecoder } from '../../../models/tokenizer/incremental-decoder.ts';
import { Tokenizer } from '../../../models/tokenizer/tokenizer.ts';
import { corpus } from '../../support/corpus.ts';
import { qwen3Files, referenceEncoder, withQwen35Pattern } from '../../support/huggingface-tokenizer.ts';
import { randomIntegers, randomText } from '../../support/random-text.ts';

const files = qwen3Files();
const built = buildTokenizer({ kind: 'hf', ...files });
const qwen3 = Tokenizer.load(built.bytes);
const qwen35Json = withQwen35Pattern(files.tokenizerJson);
const qwen35 = Tokenizer.load(buildTokenizer({ kind: 'hf', tokenizerJson: qwen35Json, tokenizerConfig: null }).bytes);
const rust = JSON.parse(readFileSync(new URL('../../fixtures/tokenizer/rust-qwen3.json', import.meta.url), 'utf8'));

describe('the vocabulary of Qwen3', () => {
  it.each([
    ['its own pre-tokenizer', qwen3, files.tokenizerJson],
    ['the pre-tokenizer of Qwen3.5', qwen35, qwen35Json],
  ])('gives the ids of @huggingface/tokenizers with %s', (_name, tokenizer, tokenizerJson) => {
    const reference = referenceEncoder(tokenizerJson);
    let tokens = 0;
    for (const text of corpus(1500)) {
      const expected = reference(text);
      expect(tokenizer.encode(text), JSON.stringify(text.slice(0, 200))).toEqual(expected);
      tokens += expected.length;
    }
    expect(tokens).toBeGreaterThan(60_000);
  });

  it('gives the ids of the Rust library', () => {
    rust.texts.forEach((text: string, i: number) => {
      expect(qwen3.encode(text), JSON.stringify(text)).toEqual(rust.qwen2[i]);
      expect(qwen35.encode(text), JSON.stringify(text)).toEqual(rust.qwen35[i]);
    });
  });

  it('decodes as the Rust library, invalid bytes included, all at once and token by token', () => {
    for (const { ids, text } of rust.decoded) {
      expect(qwen3.decode(ids)).toBe(text);
      const decoder = new IncrementalDecoder(qwen3);
      expect(ids.map((id: number) => decoder.push(id)).join('') + decoder.flush()).toBe(text);
    }
  });

  it('decodes what it encoded, up to NFC, and never streams half a character', () => {
    const next = randomIntegers(3);
    for (let i = 0; i < 1000; i++) {
      const text = randomText(next);
      const ids = qwen35.encode(text);
      expect(qwen35.decode(ids)).toBe(text.normalize('NFC'));
      const decoder = new IncrementalDecoder(qwen35);
      const parts = ids.map((id) => decoder.push(id));
      expect(decoder.flush()).toBe('');
      expect(parts.every((part) => part.isWellFormed() && !part.includes('\ufffd'))).toBe(true);
      expect(parts.join('')).toBe(text.normalize('NFC'));
    }
  });

  it('stays compact: no merge list is needed', () => {
    expect(built.tokenCount).toBe(151_669);
    expect(built.warnings).toEqual([]);
    expect(built.bytes.length).toBeLessThan(1_200_000);
  });

  it('knows its control tokens', () => {
    expect(qwen3.eosId).toBe(151_645);
    expect(qwen3.bosId).toBeNull();
    expect(qwen3.idOf('<|im_start|>')).toBe(151_644);
    expect(qwen3.isSpecial(151_644)).toBe(true);
    expect(qwen3.isSpecial(qwen3.idOf('<think>')!)).toBe(false);
    expect(qwen3.encodeTemplate('<|im_start|>assistant\n')).toEqual([151_644, 77_091, 198]);
    expect(qwen3.encode('<|im_start|>')).not.toContain(151_644);
    expect(qwen3.decode([151_644, 9707, 151_645], { skipSpecial: true })).toBe('Hello');
  });
});
