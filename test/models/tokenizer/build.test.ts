import { describe, expect, it } from 'vitest';
import { buildTokenizer } from '../../../models/tokenizer/build.ts';
import { Tokenizer } from '../../../models/tokenizer/tokenizer.ts';
import { BYTE_LETTERS, smallSource } from '../../support/small-tokenizer.ts';

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false };

/** A tokenizer.json in GPT-2's form. */
function hfSource(json: Record<string, unknown> = {}, model: Record<string, unknown> = {}, config: object | null = { eos_token: '<end>' }) {
  const vocab = Object.fromEntries([...BYTE_LETTERS, 'ab'].map((token, id) => [token, id]));
  const tokenizerJson = JSON.stringify({
    added_tokens: [{ id: 257, content: '<end>', special: true }],
    normalizer: null,
    pre_tokenizer: BYTE_LEVEL,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges: ['a b'], ...model },
    ...json,
  });
  return { kind: 'hf' as const, tokenizerJson, tokenizerConfig: config && JSON.stringify(config) };
}

describe('building from tokenizer.json', () => {
  it('reads both forms of merges', () => {
    for (const merges of [['a b'], [['a', 'b']]])
      expect(Tokenizer.load(buildTokenizer(hfSource({}, { merges })).bytes).encode('ab')).toEqual([256]);
  });

  it('takes added tokens that only tokenizer_config.json has', () => {
    const config = {
      added_tokens_decoder: { 257: { content: '<end>', special: true }, 260: { content: '<late>' } },
      eos_token: { content: '<end>' },
    };
    const built = buildTokenizer(hfSource({}, {}, config));
    expect(built.tokenCount).toBe(261);
    const tokenizer = Tokenizer.load(built.bytes);
    expect(tokenizer.encodeTemplate('<late>')).toEqual([260]);
    expect(tokenizer.eosId).toBe(257);
    expect(tokenizer.decode([258, 259])).toBe('');
  });

  it('warns when there is no end-of-sequence token', () => {
    expect(buildTokenizer(hfSource({}, {}, null)).warnings).toEqual(['tokenizer_config.json names no eos_token of the vocabulary.']);
  });

  it('leaves out merges that would make plain text an added token', () => {
    const added = [
      { id: 256, content: 'ab' },
      { id: 257, content: '<end>' },
    ];
    const built = buildTokenizer(hfSource({ added_tokens: added }));
    expect(built.warnings.join()).toContain('1 merges that make added tokens were left out');
    expect(Tokenizer.load(built.bytes).encode('ab')).toEqual([97, 98]);
  });

  it.each([
    ['another model', hfSource({}, { type: 'Unigram' }), 'of the kind "Unigram"'],
    ['another decoder', hfSource({ decoder: { type: 'Metaspace' } }), 'decoder "Metaspace"'],
    ['byte fallback', hfSource({}, { byte_fallback: true }), '"byte_fallback"'],
    ['another normalizer', hfSource({ normalizer: { type: 'Lowercase' } }), 'normalizer "Lowercase"'],
    ['another pre-tokenizer', hfSource({ pre_tokenizer: { type: 'Metaspace' } }), 'pre-tokenizer "Metaspace"'],
    [
      'another expression',
      hfSource({
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [{ type: 'Split', pattern: { Regex: '\\d{1,3}' }, behavior: 'Isolated' }, BYTE_LEVEL],
        },
      }),
      '\\d{1,3}',
    ],
    ['a prefix space', hfSource({ pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true } }), 'pre-tokenizer "ByteLevel"'],
    [
      'an added token that strips',
      hfSource({ added_tokens: [{ id: 257, content: '<mask>', lstrip: true }] }),
      '"<mask>" uses the option "lstrip"',
    ],
    [
      'a control token that is a word',
      hfSource({ added_tokens: [{ id: 257, content: 'STOP', special: true }] }),
      '"STOP" looks like a word',
    ],
    ['a merge of unknown tokens', hfSource({}, { merges: ['a b', 'ab c'] }), '"ab c" uses a token'],
    ['a vocabulary without bytes', hfSource({}, { vocab: { word: 0 }, merges: [] }), 'no tokens for single bytes'],
    ['a number for the merges', hfSource({}, { merges: 7 }), 'The tokenizer is damaged'],
    ['nothing for a merge', hfSource({}, { merges: [null] }), 'The tokenizer is damaged'],
    ['a number for the added tokens', hfSource({ added_tokens: 7 }), 'The tokenizer is damaged'],
    ['an added token without a text', hfSource({ added_tokens: [{ id: 257, content: 7 }] }), 'an added token has no text'],
    ['text that is not JSON', { kind: 'hf' as const, tokenizerJson: '{', tokenizerConfig: null }, 'tokenizer.json is not valid JSON'],
  ])('refuses %s', (_name, source, message) => {
    expect(() => buildTokenizer(source)).toThrow(message);
  });
});

describe('building from GGUF metadata', () => {
  it.each([
    [{ model: 'llama' }, 'The GGUF has a "llama" tokenizer; only byte-level BPE ("gpt2") is supported.'],
    [{ pre: 'llama-bpe' }, 'The pre-tokenizer "llama-bpe" is not supported'],
    [{ merges: ['ab'] }, 'The tokenizer\'s merge "ab" is not a pair'],
  ])('refuses %o', (change, message) => {
    expect(() => buildTokenizer({ ...smallSource(), ...change })).toThrow(message);
  });

  it('does not count unused tokens at the end', () => {
    const source = smallSource();
    const count = source.tokens.length;
    const padded = { ...source, tokens: [...source.tokens, '[PAD1]', '[PAD2]'], types: [...source.types, 5, 5] };
    expect(buildTokenizer(padded).tokenCount).toBe(count);
  });
});

describe('tokenizer.bin', () => {
  const { bytes } = buildTokenizer(smallSource({ merges: ['b c', 'a b'], tokens: ['ab', 'bc'] }));
  /** With something else in its header. */
  const edited = (from: RegExp, to: string) => {
    const text = Buffer.from(bytes).toString('latin1');
    if (!from.test(text)) throw new Error(`there is no ${from} in the header`);
    return Uint8Array.from(
      Buffer.from(
        text.replace(from, (old) => to.padEnd(old.length)),
        'latin1',
      ),
    );
  };

  it('loads from any offset of a larger buffer', () => {
    const larger = new Uint8Array(bytes.length + 3);
    larger.set(bytes, 3);
    expect(Tokenizer.load(larger.subarray(3)).encode('abc')).toEqual([97, 257]);
  });

  it.each([
    ['another file', new TextEncoder().encode('{"model": 1, "and": "more"}'), 'not a tokenizer file'],
    ['an empty file', new Uint8Array(0), 'not a tokenizer file'],
    ['a file cut short', bytes.subarray(0, bytes.length - 5), 'cut short'],
    ['a file cut in its header', bytes.subarray(0, 40), 'cut short'],
    ['a header that is no JSON', edited(/"nfc":/, '"nfc"'), 'damaged'],
    ['a header without added tokens', edited(/"addedTokens"/, '"addedXXX"'), 'damaged'],
    ['more tokens than it has', edited(/"tokenCount":\d+/, '"tokenCount":9e9'), 'damaged'],
    ['a length below nothing', edited(/"lengthsBytes":\d+/, '"lengthsBytes":-9'), 'damaged'],
  ])('refuses %s', (_name, file, message) => {
    expect(() => Tokenizer.load(file)).toThrow(message);
  });

  it('refuses another version', () => {
    const other = bytes.slice();
    other[4] = 9;
    expect(() => Tokenizer.load(other)).toThrow('version 9');
  });
});
