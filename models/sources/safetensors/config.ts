import { z } from 'zod';
import { type LayerType, MOST_LAYERS, type ModelConfig } from '../../config.ts';
import { ModelError } from '../../model-error.ts';

const rope = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().optional(),
  partial_rotary_factor: z.number().optional(),
});
const size = z.number().int().positive();

/** The keys of a Hugging Face text configuration that we read; everything else is ignored. */
const textSchema = z.object({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size.max(MOST_LAYERS),
  num_attention_heads: size,
  num_key_value_heads: size.optional(),
  head_dim: size.nullish(),
  rms_norm_eps: z.number().default(1e-6),
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  attn_output_gate: z.boolean().default(true),
  tie_word_embeddings: z.boolean().optional(),
  max_position_embeddings: size.default(2048),
  rope_theta: z.number().optional(),
  partial_rotary_factor: z.number().optional(),
  rope_parameters: rope.nullish(),
  rope_scaling: rope.nullish(),
  layer_types: z.array(z.string()).optional(),
  full_attention_interval: size.default(4),
  linear_num_key_heads: size.optional(),
  linear_num_value_heads: size.optional(),
  linear_key_head_dim: size.optional(),
  linear_value_head_dim: size.optional(),
  linear_conv_kernel_dim: size.optional(),
});
type TextConfig = z.infer<typeof textSchema>;

const eosSchema = z.union([z.number().int(), z.array(z.number().int())]).nullish();
const modelSchema = z.object({
  model_type: z.string().default(''),
  text_config: z.record(z.string(), z.unknown()).optional(),
  tie_word_embeddings: z.boolean().optional(),
  eos_token_id: eosSchema,
  quantization_config: z.unknown().optional(),
});

const ARCHITECTURES: Record<string, ModelConfig['architecture']> = { qwen3_5: 'qwen3_5', qwen3_5_text: 'qwen3_5', llama: 'llama' };

export interface HuggingFaceConfig {
  config: ModelConfig;
  eosIds: number[];
}

/** `eos_token_id` of a Hugging Face file: a number, several, or none. */
export const eosList = (value: z.infer<typeof eosSchema>): number[] => (value === null || value === undefined ? [] : [value].flat());

/**
 * Translates `config.json`. `hasHead` says whether the files have an `lm_head`, for configurations that do not say whether the head is tied.
 * Throws `ModelError` for an architecture we do not know and for variants of a known one that we would compute wrongly.
 */
export function readHuggingFaceConfig(json: unknown, hasHead: boolean): HuggingFaceConfig {
  const model = parse(modelSchema, json);
  const text = parse(textSchema, model.text_config ?? json);
  const architecture = ARCHITECTURES[model.model_type];
  if (!architecture) {
    throw new ModelError(`The model type "${model.model_type}" is not supported; supported are ${Object.keys(ARCHITECTURES).join(', ')}.`);
  }
  refuseVariants(text, architecture, model.quantization_config !== undefined);
  const headDim = text.head_dim ?? text.hidden_size / text.num_attention_heads;
  const ropeSource = text.rope_parameters ?? {};
  const partial = ropeSource.partial_rotary_factor ?? text.partial_rotary_factor ?? (architecture === 'qwen3_5' ? 0.25 : 1);
  const config: ModelConfig = {
    architecture,
    vocabSize: text.vocab_size,
    hiddenSize: text.hidden_size,
    intermediateSize: text.intermediate_size,
    layerTypes: layerTypes(text, architecture),
    numHeads: text.num_attention_heads,
    numKvHeads: text.num_key_value_heads ?? text.num_attention_heads,
    headDim,
    rotaryDim: Math.trunc(headDim * partial),
    ropeTheta: ropeSource.rope_theta ?? text.rope_theta ?? (architecture === 'qwen3_5' ? 1e7 : 1e4),
    rmsNormEps: text.rms_norm_eps,
    tiedHead: text.tie_word_embeddings ?? model.tie_word_embeddings ?? !hasHead,
    contextLength: text.max_position_embeddings,
    linear: architecture === 'qwen3_5' ? linearConfig(text) : null,
  };
  const textEos = eosSchema.safeParse(model.text_config?.eos_token_id);
  return { config, eosIds: [...eosList(model.eos_token_id), ...eosList(textEos.data)] };
}

function refuseVariants(text: TextConfig, architecture: string, quantized: boolean): void {
  const refuse = (what: string) => {
    throw new ModelError(`The model has ${what}, which the ${architecture} implementation does not support.`);
  };
  const ropeType = text.rope_scaling?.rope_type ?? text.rope_scaling?.type ?? text.rope_parameters?.rope_type ?? text.rope_parameters?.type;
  if (ropeType && ropeType !== 'default') refuse(`RoPE scaling of type "${ropeType}"`);
  if (text.hidden_act !== 'silu') refuse(`the activation "${text.hidden_act}"`);
  if (text.attention_bias || text.mlp_bias) refuse('biases in its projections');
  if (architecture === 'qwen3_5' && !text.attn_output_gate) refuse('attention without an output gate');
  if (quantized) refuse('quantized safetensors (pack the unquantized model or a GGUF)');
}

function layerTypes(text: TextConfig, architecture: string): LayerType[] {
  if (architecture === 'llama') return Array.from({ length: text.num_hidden_layers }, () => 'full_attention');
  const types =
    text.layer_types ?? Array.from({ length: text.num_hidden_layers }, (_, i) => hybridLayerType(i, text.full_attention_interval));
  if (types.length !== text.num_hidden_layers)
    throw new ModelError(`config.json has ${text.num_hidden_layers} layers and ${types.length} layer_types.`);
  return types.map((type) => {
    if (type !== 'full_attention' && type !== 'linear_attention') throw new ModelError(`The layer type "${type}" is not supported.`);
    return type;
  });
}

/** The family's pattern: every `interval`th layer is full attention. */
export const hybridLayerType = (layer: number, interval: number): LayerType =>
  (layer + 1) % interval === 0 ? 'full_attention' : 'linear_attention';

function linearConfig(text: TextConfig): ModelConfig['linear'] {
  const linear = {
    keyHeads: text.linear_num_key_heads ?? 16,
    valueHeads: text.linear_num_value_heads ?? 32,
    keyDim: text.linear_key_head_dim ?? 128,
    valueDim: text.linear_value_head_dim ?? 128,
    convKernel: text.linear_conv_kernel_dim ?? 4,
  };
  if (linear.valueHeads % linear.keyHeads)
    throw new ModelError(`${linear.valueHeads} value heads cannot share ${linear.keyHeads} key heads.`);
  return linear;
}

function parse<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ModelError(`config.json is not usable: ${issue?.path.join('.') || 'the file'}: ${issue?.message}.`);
}
