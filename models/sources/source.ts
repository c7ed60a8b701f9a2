import type { ModelConfig } from '../config.ts';
import type { SamplingDefaults } from '../pack/manifest.ts';
import type { TokenizerSource } from '../tokenizer/source.ts';

/**
 * Consecutive rows of a tensor. `blocks` are ggml's own: 32 columns in 18 bytes (q4_0: fp16 scale, 16 bytes whose low nibbles are columns 0..15 and high
 * nibbles columns 16..31) or 34 bytes (q8_0: fp16 scale, 32 int8), row after row.
 */
export type TensorRows = { type: 'f32'; values: Float32Array } | { type: 'q4_0' | 'q8_0'; blocks: Uint8Array };

/**
 * A model in somebody else's format, translated: tensors have the names, shapes, order and values that the pack's manifest describes, whatever the file
 * had. Implementations: `safetensors/` (Hugging Face folder) and `gguf/`. Opened by `openSource`; Node only.
 */
export interface Source {
  /** Name to serve the model by when the user gives none. */
  name: string;
  /** File or folder name, for people. */
  origin: string;
  /** True when the file says that its weights are random. */
  fixture: boolean;
  config: ModelConfig;
  /** Null when the source brings no tokenizer. */
  tokenizer: TokenizerSource | null;
  /** Jinja source, or null. */
  chatTemplate: string | null;
  /** Any of these ends a generation; sorted, distinct. */
  eosIds: number[];
  /** What the source itself recommends; null or missing keys are left to the catalog. */
  sampling: Partial<SamplingDefaults> | null;
  /**
   * Rows `row` to `row + rows - 1` of the tensor called `name` in the pack ("layers.0.q_proj"; a vector is one row). Answers blocks instead of floats only
   * when `prefer` names the stored type and the blocks can be moved without loss. Throws `ModelError` when the file is shorter than it says.
   */
  read(name: string, row: number, rows: number, prefer?: 'q4_0' | 'q8_0'): Promise<TensorRows>;
  /** Where the tensor that `name` is read from lies, for readers that can take the files only from front to back. */
  place(name: string): TensorPlace;
  close(): Promise<void>;
}

/** The bytes of a source's files that hold one tensor of the pack. */
export interface TensorPlace {
  /** Index of the file, for sources in several. */
  file: number;
  /** From the start of the file. */
  offset: number;
  bytes: number;
  /** How its values are stored, as the file's format calls it. */
  type: string;
  /** Row r of the pack is row r of the file: then a few rows need a few of the bytes, and not the whole tensor. */
  inOrder: boolean;
}
