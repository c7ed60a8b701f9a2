import type { ModelConfig } from '../../models/config.ts';
import { dequantizeTensor } from '../../models/pack/dequantize.ts';
import type { Pack } from '../../models/pack/reader.ts';
import { Qwen35Reference, type ReferenceTensor } from './reference.mjs';

/** Pack name -> Hugging Face name; of a layer, after `model.layers.N.`. */
export const HF_NAMES: Record<string, string> = {
  embed: 'model.embed_tokens.weight',
  norm: 'model.norm.weight',
  head: 'lm_head.weight',
  input_norm: 'input_layernorm.weight',
  post_norm: 'post_attention_layernorm.weight',
  gate_proj: 'mlp.gate_proj.weight',
  up_proj: 'mlp.up_proj.weight',
  down_proj: 'mlp.down_proj.weight',
  q_proj: 'self_attn.q_proj.weight',
  k_proj: 'self_attn.k_proj.weight',
  v_proj: 'self_attn.v_proj.weight',
  o_proj: 'self_attn.o_proj.weight',
  q_norm: 'self_attn.q_norm.weight',
  k_norm: 'self_attn.k_norm.weight',
  qkv_proj: 'linear_attn.in_proj_qkv.weight',
  z_proj: 'linear_attn.in_proj_z.weight',
  b_proj: 'linear_attn.in_proj_b.weight',
  a_proj: 'linear_attn.in_proj_a.weight',
  conv: 'linear_attn.conv1d.weight',
  decay: 'linear_attn.A_log',
  dt_bias: 'linear_attn.dt_bias',
  linear_norm: 'linear_attn.norm.weight',
  out_proj: 'linear_attn.out_proj.weight',
};

/** The float64 reference decoder on a qwen3_5 pack's own (dequantized) weights. */
export async function packReference(pack: Pack): Promise<Qwen35Reference> {
  const tensors = new Map<string, ReferenceTensor>();
  for (const [name, { shape }] of Object.entries(pack.manifest.tensors)) {
    const [key, layer] = [name.split('.').at(-1)!, name.split('.')[1]];
    const values = Float64Array.from(await dequantizeTensor(pack, name));
    tensors.set((layer === undefined ? '' : `model.layers.${layer}.`) + HF_NAMES[key], undoConversion(key, values, shape));
  }
  return new Qwen35Reference(referenceConfig(pack.manifest.config), tensors);
}

/** The reference takes what a checkpoint holds: zero-centred norms, A_log, channel-major convolutions. */
function undoConversion(key: string, values: Float64Array, shape: number[]): ReferenceTensor {
  if (key === 'decay') return { shape, data: values.map((value) => Math.log(-value)) };
  if (key.endsWith('norm') && key !== 'linear_norm') return { shape, data: values.map((value) => value - 1) };
  if (key !== 'conv') return { shape, data: values };
  const [taps, channels] = shape as [number, number];
  return { shape: [channels, 1, taps], data: values.map((_, i) => values[(i % taps) * channels + Math.floor(i / taps)]!) };
}

/** A configuration as the reference takes it. */
export function referenceConfig(config: ModelConfig): Record<string, unknown> {
  const linear = config.linear!;
  return {
    hidden_size: config.hiddenSize,
    vocab_size: config.vocabSize,
    layer_types: config.layerTypes,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    rms_norm_eps: config.rmsNormEps,
    tie_word_embeddings: config.tiedHead,
    rope_parameters: { rope_theta: config.ropeTheta, partial_rotary_factor: config.rotaryDim / config.headDim },
    linear_num_key_heads: linear.keyHeads,
    linear_num_value_heads: linear.valueHeads,
    linear_key_head_dim: linear.keyDim,
    linear_value_head_dim: linear.valueDim,
    linear_conv_kernel_dim: linear.convKernel,
  };
}
