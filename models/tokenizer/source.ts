/** What a model source knows about its tokenizer, as it came: text of Hugging Face files, or the `tokenizer.ggml.*` metadata of a GGUF. */
export type TokenizerSource = HuggingFaceTokenizer | GgufTokenizer;

export interface HuggingFaceTokenizer {
  kind: 'hf';
  /** Text of `tokenizer.json`. */
  tokenizerJson: string;
  /** Text of `tokenizer_config.json`, or null when the folder has none. */
  tokenizerConfig: string | null;
}

export interface GgufTokenizer {
  kind: 'gguf';
  /** `tokenizer.ggml.model`, e.g. "gpt2" for byte-level BPE. */
  model: string;
  /** `tokenizer.ggml.pre`, the name of the pre-tokenizer, e.g. "qwen35"; empty when the file has none. */
  pre: string;
  tokens: string[];
  /** Per token: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. All 1 when the file has none. */
  types: number[];
  /** Pairs as "left right", in rank order. */
  merges: string[];
  eosId: number | null;
  bosId: number | null;
  /** `tokenizer.ggml.add_bos_token`; null when the file does not say. */
  addBos: boolean | null;
}
