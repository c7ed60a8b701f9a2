import { describe, expect, it } from 'vitest';
import { buildTokenizer } from '../../../models/tokenizer/build.ts';
import { IncrementalDecoder } from '../../../models/tokenizer/incremental-decoder.ts';
import { Tokenizer } from '../../../models/tokenizer/tokenizer.ts';
import { BYTE_LETTERS, smallSource, smallTokenizer } from '../../support/small-tokenizer.ts';

const words = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text).map((id) => tokenizer.tokenText(id));

describe('encoding', () => {
  it('merges the neighbours of highest priority first', () => {
    expect(words(smallTokenizer(), 'hello world, hell')).toEqual(['hello', ' world', ',', ' ', 'hell']);
  });

  it('follows an explicit list of merges whose order is not that of the ids', () => {
    const merges = ['b c', 'a b'];
    const tokenizer = smallTokenizer({ merges, tokens: ['ab', 'bc'] });
    expect(words(tokenizer, 'abc')).toEqual(['a', 'bc']);
  });

  it('does not merge a pair that is not listed, though both together are a token', () => {
    const tokenizer = smallTokenizer({ merges: ['b c', 'a b', 'ab c'] });
    expect(words(tokenizer, 'abc')).toEqual(['a', 'bc']);
    expect(tokenizer.idOf('abc')).toBe(258);
  });

  it('never makes a token that no merge makes, but finds and decodes it', () => {
    const tokenizer = smallTokenizer({ merges: ['a b'], tokens: ['ab', 'abab'] });
    expect(words(tokenizer, 'abab')).toEqual(['ab', 'ab']);
    expect(tokenizer.idOf('abab')).toBe(257);
    expect(tokenizer.decode([257])).toBe('abab');
  });

  it('drops bytes without a token, as the reference does, and says so when packing', () => {
    const source = smallSource({ merges: ['a b'] });
    source.types[BYTE_LETTERS.indexOf('!')] = 5;
    const built = buildTokenizer(source);
    expect(built.warnings).toEqual(['1 of the 256 bytes have no token; text that needs them loses them.']);
    expect(words(Tokenizer.load(built.bytes), 'a!b')).toEqual(['a', 'b']);
    expect(words(Tokenizer.load(built.bytes), 'c!?')).toEqual(['c', '?']);
  });

  it('normalizes to NFC for Qwen and not for SmolLM2', () => {
    expect(smallTokenizer({ pre: 'qwen35' }).encode('e\u0301')).toEqual([...new TextEncoder().encode('\u00e9')]);
    expect(smallTokenizer({ pre: 'smollm' }).encode('e\u0301')).toEqual([...new TextEncoder().encode('e\u0301')]);
  });

  it('reads a lone surrogate as U+FFFD', () => {
    const tokenizer = smallTokenizer();
    expect(tokenizer.encode('a\ud800b')).toEqual(tokenizer.encode('a\ufffdb'));
  });

  it.each(['a', 'ab', ' ', '!', '\n', '\u4e2d', '\u0301', '\u{1d4b3}'])('manages 300,000 times %j without a break', (unit) => {
    const tokenizer = smallTokenizer({ merges: ['a a', 'aa aa', 'a b', 'ab ab', 'Ġ Ġ', '! !'] });
    const text = unit.repeat(300_000);
    expect(tokenizer.decode(tokenizer.encode(text)) === text.normalize('NFC')).toBe(true);
  });

  it('gives the same ids again from its cache, whatever came between', () => {
    const tokenizer = smallTokenizer();
    const first = tokenizer.encode('hello world');
    for (let i = 0; i < 20_000; i++) tokenizer.encode(`w${i.toString(36).replace(/\d/g, 'x')}`);
    expect(tokenizer.encode('hello world')).toEqual(first);
  });
});

describe('added tokens', () => {
  const tokenizer = smallTokenizer({ added: ['<|im_start|>', '<|im|>', '<a>', '<a>b'] });

  it('are matched in template text only', () => {
    expect(tokenizer.encodeTemplate('<|im_start|>he<|im|>')).toEqual([
      tokenizer.idOf('<|im_start|>'),
      tokenizer.idOf('he'),
      tokenizer.idOf('<|im|>'),
    ]);
    expect(tokenizer.decode(tokenizer.encode('<|im_start|>'))).toBe('<|im_start|>');
    expect(tokenizer.encode('<|im_start|>')).not.toContain(tokenizer.idOf('<|im_start|>'));
  });

  it('are matched the longest first', () => {
    expect(tokenizer.encodeTemplate('<a>b')).toEqual([tokenizer.idOf('<a>b')]);
    expect(tokenizer.encodeTemplate('<a>a')).toEqual([tokenizer.idOf('<a>'), 97]);
  });

  it('are not matched where the separator breaks them, and the separator leaves no trace', () => {
    expect(tokenizer.encodeTemplate('<\ufdd0|im|>h\ufdd0e', '\ufdd0')).toEqual(tokenizer.encode('<|im|>he'));
  });

  it('are left out of decoded text only when they are control tokens', () => {
    const ids = tokenizer.encodeTemplate('<|im|>he<a>');
    expect(tokenizer.decode(ids)).toBe('<|im|>he<a>');
    expect(tokenizer.decode(ids, { skipSpecial: true })).toBe('he<a>');
    const decoder = new IncrementalDecoder(tokenizer, { skipSpecial: true });
    expect(ids.map((id) => decoder.push(id))).toEqual(['', 'he', '<a>']);
  });
});

describe('decoding', () => {
  const tokenizer = smallTokenizer();

  it('keeps a byte order mark', () => {
    expect(tokenizer.decode(tokenizer.encode('\ufeffhello'))).toBe('\ufeffhello');
    const decoder = new IncrementalDecoder(tokenizer);
    expect([0xef, 0xbb, 0xbf].map((id) => decoder.push(id))).toEqual(['', '', '\ufeff']);
  });

  it('holds a character back until its last byte, and marks one that never ends', () => {
    const decoder = new IncrementalDecoder(tokenizer);
    expect([0xf0, 0x9f, 0x98, 0x80].map((id) => decoder.push(id))).toEqual(['', '', '', '\u{1f600}']);
    expect([0xf0, 0x9f, 0x61].map((id) => decoder.push(id))).toEqual(['', '', '\ufffda']);
    decoder.push(0xe4);
    expect(decoder.flush()).toBe('\ufffd');
    expect(decoder.push(0x61)).toBe('a');
  });

  it('has nothing to say for padding ids', () => {
    expect(tokenizer.decode([tokenizer.tokenCount, tokenizer.tokenCount + 5000])).toBe('');
    expect(tokenizer.isSpecial(tokenizer.tokenCount)).toBe(false);
  });
});
