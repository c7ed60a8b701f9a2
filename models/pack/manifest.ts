import { z } from 'zod';
import { calibrationSchema } from '../capability/calibration.ts';
import type { ModelConfig } from '../config.ts';

/**
 * `manifest.json` of a pack: what the model is and where each tensor's bytes lie.
 *
 * A pack is a folder: `manifest.json`, weight files of at most 24 MiB, and `tokenizer.bin` where the source had a tokenizer.
 * A weight file holds rows of the token table (`embed-000.bin`, ...), rows of an untied head (`head-000.bin`, ...), tensors of exactly one layer
 * (`layer-07.bin`, or `layer-07-1.bin` and on where a layer needs several) or the final norm (`final.bin`), never a mixture, so that any run of
 * layers, or any slice of the vocabulary cut at file borders, is a set of whole files.
 *
 * Tensor names (rows x columns, row-major [out, in] before tiling; N = layer index):
 *   embed [vocab, H] · head [vocab, H] (untied only) · norm [H]
 *   layers.N.input_norm [H] · layers.N.post_norm [H] · layers.N.gate_proj [I, H] · layers.N.up_proj [I, H] · layers.N.down_proj [H, I]
 *   full_attention:   q_proj [nq*d (qwen3_5: 2*nq*d, per head query then gate), H] · k_proj · v_proj [nkv*d, H] · o_proj [H, nq*d]
 *                     · q_norm [d] · k_norm [d] (qwen3_5 only)
 *   linear_attention: qkv_proj [2*nk*dk + nv*dv, H] · z_proj [nv*dv, H] · b_proj [nv, H] · a_proj [nv, H] · conv [taps, 2*nk*dk + nv*dv]
 *                     · decay [nv] · dt_bias [nv] · linear_norm [dv] · out_proj [H, nv*dv]
 *
 * Everything is stored ready for use: norms hold the factor that multiplies (1 + w for zero-centred ones), `decay` is -exp(A_log), `conv` is
 * tap-major, value heads are in Hugging Face (grouped) order and llama's q/k rows are in rotate-half order, whatever the source had.
 * A matrix has the pack's quantization, except that v_proj of a q4_0 pack may be q8_0.
 * Type f32 always: norms, decay, dt_bias, conv, a_proj, b_proj (vectors and conv plain row-major, a_proj and b_proj as tiled matrices).
 *
 * Matrix tiles, for groups of 8 rows (rows padded with zeros to a multiple of 8), ordered [row group][k block]:
 *   q4_0  8 rows x 32 k, 144 bytes: eight 16-byte vectors, vector g byte 4r+j = row r (low nibble), row r+4 (high nibble) at k = 4g+j, value
 *         (nibble - 8) * scale; then eight fp16 scales in the order r0 r4 r1 r5 r2 r6 r3 r7.
 *   q8_0  8 rows x 32 k, 272 bytes: sixteen 16-byte vectors, vector g byte 2r+j = row r at k = 2g+j, int8; then eight fp16 scales, same order.
 *   f32   8 rows x K: for each k, eight floats (rows 0..7).
 * Columns must be a multiple of 32 for q4_0 and q8_0. All integers little-endian. Every tensor part starts at a multiple of 64 bytes in its file.
 */
export const WEIGHT_TYPES = ['f32', 'q8_0', 'q4_0'] as const;
export type WeightType = (typeof WEIGHT_TYPES)[number];

/** Largest file of a pack: Cloudflare's limit for one static asset is 25 MiB. */
export const MAX_FILE_BYTES = 24 * 1024 * 1024;
/** Parts of a matrix split across files start at a multiple of this many rows (four row groups, what the fastest kernel takes at once). */
export const PART_ROWS = 32;

/** No tokenizer is as large, and no weight file may be: memory is made for what a manifest says. */
const MOST_BYTES = 1 << 28;

const fileSchema = z.object({
  name: z.string(),
  bytes: z.number().int().nonnegative().max(MOST_BYTES),
  /** Hex SHA-256, checked when packing, verifying and uploading. */
  sha256: z.string(),
  /** Unsigned 32-bit checksum of the whole file (models/pack/checksum.ts), checked by the loader: SHA-256 of 450 MB costs 2 s in workerd. */
  checksum: z.number().int().nonnegative(),
});

const tensorSchema = z.object({
  type: z.enum(WEIGHT_TYPES),
  /** [length] of a vector or [rows, columns] of a matrix, before padding. */
  shape: z.array(z.number().int().positive()).min(1).max(2),
  /** In row order; `row` and `rows` count unpadded rows (a vector is one row). `file` indexes `files`. */
  parts: z
    .array(
      z.object({
        file: z.number().int(),
        offset: z.number().int(),
        bytes: z.number().int(),
        row: z.number().int(),
        rows: z.number().int(),
      }),
    )
    .min(1),
});

const samplingSchema = z.object({
  temperature: z.number(),
  topP: z.number(),
  topK: z.number().int(),
  minP: z.number(),
  presencePenalty: z.number(),
  repetitionPenalty: z.number(),
});

const configSchema: z.ZodType<ModelConfig> = z.object({
  architecture: z.enum(['qwen3_5', 'llama']),
  vocabSize: z.number().int().positive(),
  hiddenSize: z.number().int().positive(),
  intermediateSize: z.number().int().positive(),
  layerTypes: z.array(z.enum(['full_attention', 'linear_attention'])),
  numHeads: z.number().int().positive(),
  numKvHeads: z.number().int().positive(),
  headDim: z.number().int().positive(),
  rotaryDim: z.number().int().nonnegative(),
  ropeTheta: z.number().positive(),
  rmsNormEps: z.number().positive(),
  tiedHead: z.boolean(),
  contextLength: z.number().int().positive(),
  linear: z
    .object({
      keyHeads: z.number().int().positive(),
      valueHeads: z.number().int().positive(),
      keyDim: z.number().int().positive(),
      valueDim: z.number().int().positive(),
      convKernel: z.number().int().positive(),
    })
    .nullable(),
});

export const manifestSchema = z.object({
  format: z.literal('nearside-pack'),
  version: z.literal(1),
  /** Name clients ask for, e.g. "SmolLM2-135M-Instruct". */
  name: z.string(),
  /** Where it came from, for people: file or repository name. */
  source: z.string(),
  /** True for random weights: served only as a fixture, and said so. */
  fixture: z.boolean(),
  quantization: z.enum(WEIGHT_TYPES),
  config: configSchema,
  /** Ids from here to config.vocabSize are padding rows and never sampled. */
  tokenCount: z.number().int().positive(),
  /** Any of these ends a generation. */
  eosIds: z.array(z.number().int()),
  /** Sampling used for what a request leaves open. */
  sampling: samplingSchema,
  /** Whether the chat template thinks unless told otherwise; null when the template knows no thinking. */
  thinkingDefault: z.boolean().nullable(),
  /** Jinja source of the model's own chat template. */
  chatTemplate: z.string().nullable(),
  /** Compact tokenizer (models/tokenizer); null when the source had none. */
  tokenizer: fileSchema.nullable(),
  /** How good the model's answers are, for the router (npm run -s models -- calibrate); of these weights, so another pack of the model has none. */
  calibration: calibrationSchema.optional(),
  files: z.array(fileSchema),
  tensors: z.record(z.string(), tensorSchema),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type PackFile = z.infer<typeof fileSchema>;
export type PackTensor = z.infer<typeof tensorSchema>;
export type SamplingDefaults = z.infer<typeof samplingSchema>;

const ROW_GROUP = 8;
const BLOCK = 32;

/** Bytes of a [rows, columns] matrix in the tile order above; rows are padded to a multiple of 8. */
export function matrixBytes(type: WeightType, rows: number, columns: number): number {
  const groups = Math.ceil(rows / ROW_GROUP);
  if (type === 'f32') return groups * ROW_GROUP * columns * 4;
  return groups * (columns / BLOCK) * (type === 'q4_0' ? 144 : 272);
}
