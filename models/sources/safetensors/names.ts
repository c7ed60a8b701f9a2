import type { ModelConfig } from '../../config.ts';
import type { MapTensor } from '../mapped-tensors.ts';

/** Pack name of a layer's tensor -> Hugging Face name after `layers.N.`. */
const LAYER_NAMES: Record<string, string> = {
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

/** Multimodal checkpoints, text-only exports. The head has the prefix of neither. */
const PREFIXES = ['model.language_model.', 'model.'];

/** The prefix of the decoder's tensors in these files. */
export const decoderPrefix = (names: Map<string, unknown>): string =>
  PREFIXES.find((prefix) => names.has(`${prefix}embed_tokens.weight`)) ?? PREFIXES[0]!;

/** Tensors that belong to the vision tower, the multi-token prediction head or an old buffer: not part of the text decoder. */
export const isIgnored = (name: string): boolean =>
  /^(model\.)?visual\.|^(model\.)?mtp\./.test(name) || name.endsWith('rotary_emb.inv_freq') || name === 'lm_head.weight';

const oneMore = (w: number): number => 1 + w;
const minusExp = (aLog: number): number => -Math.exp(aLog);

/** Hugging Face names and what is stored differently there: zero-centred norms (qwen3_5, all but `linear_attn.norm`), A_log, the shape of conv1d. */
export function mapHuggingFace(config: ModelConfig, prefix: string): MapTensor {
  const zeroCentred = config.architecture === 'qwen3_5';
  return ({ name, shape }) => {
    if (name === 'embed') return { from: `${prefix}embed_tokens.weight` };
    if (name === 'head') return { from: 'lm_head.weight' };
    const value = zeroCentred && name.endsWith('norm') && !name.endsWith('linear_norm') ? oneMore : undefined;
    if (name === 'norm') return { from: `${prefix}norm.weight`, value };
    const [, layer, key] = name.split('.') as [string, string, string];
    const from = `${prefix}layers.${layer}.${LAYER_NAMES[key]}`;
    if (key === 'conv') return { from, shape: [shape[1]!, 1, shape[0]] };
    if (key === 'decay') return { from, value: minusExp };
    return { from, value };
  };
}
