import type { ModelConfig } from '../../config.ts';
import type { MapTensor, TensorMapping } from '../mapped-tensors.ts';

/** Pack name of a layer's tensor -> GGUF name after `blk.N.`. */
const LAYER_NAMES: Record<string, string> = {
  input_norm: 'attn_norm.weight',
  gate_proj: 'ffn_gate.weight',
  up_proj: 'ffn_up.weight',
  down_proj: 'ffn_down.weight',
  q_proj: 'attn_q.weight',
  k_proj: 'attn_k.weight',
  v_proj: 'attn_v.weight',
  o_proj: 'attn_output.weight',
  q_norm: 'attn_q_norm.weight',
  k_norm: 'attn_k_norm.weight',
  qkv_proj: 'attn_qkv.weight',
  z_proj: 'attn_gate.weight',
  b_proj: 'ssm_beta.weight',
  a_proj: 'ssm_alpha.weight',
  conv: 'ssm_conv1d.weight',
  decay: 'ssm_a',
  dt_bias: 'ssm_dt.bias',
  linear_norm: 'ssm_norm.weight',
  out_proj: 'ssm_out.weight',
};
const POST_NORM = { qwen3_5: 'post_attention_norm.weight', llama: 'ffn_norm.weight' } as const;

/**
 * GGUF names, and back from what llama.cpp's converter did to the weights: llama's q and k rows interleaved for its RoPE, qwen35's value heads tiled instead of
 * grouped by key head. Norms already hold the factor that multiplies, and ssm_a is -exp(A_log).
 */
export function mapGguf(config: ModelConfig): MapTensor {
  return ({ name, shape }) => {
    if (name === 'embed') return { from: 'token_embd.weight' };
    if (name === 'head') return { from: 'output.weight' };
    if (name === 'norm') return { from: 'output_norm.weight' };
    const [, layer, key] = name.split('.') as [string, string, string];
    const from = `blk.${layer}.${key === 'post_norm' ? POST_NORM[config.architecture] : LAYER_NAMES[key]}`;
    const mapping: TensorMapping = key === 'conv' ? { from, shape: [shape[1]!, shape[0]] } : { from };
    return { ...mapping, ...(config.architecture === 'llama' ? unrotate(key, config.headDim) : ungroup(key, config)) };
  };
}

/**
 * The converter's `permute` for llama turns row (half s, index i) of a head into row 2i + s, so that llama.cpp rotates neighbours; we rotate halves.
 */
function unrotate(key: string, headDim: number): Partial<TensorMapping> {
  if (key !== 'q_proj' && key !== 'k_proj') return {};
  const half = headDim / 2;
  return {
    row(row) {
      const inHead = row % headDim;
      return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    },
  };
}

/** The converter stores value head kh * r + j (key head kh, r = nv / nk) at place j * nk + kh. */
function ungroup(key: string, { linear }: ModelConfig): Partial<TensorMapping> {
  if (!linear || linear.keyHeads === linear.valueHeads) return {};
  const { keyHeads, keyDim, valueDim } = linear;
  const perKey = linear.valueHeads / keyHeads;
  const head = (h: number) => (h % perKey) * keyHeads + Math.floor(h / perKey);
  const channel = (row: number) => head(Math.floor(row / valueDim)) * valueDim + (row % valueDim);
  const firstValue = 2 * keyHeads * keyDim;
  switch (key) {
    case 'qkv_proj':
    case 'conv':
      return { row: (row) => (row < firstValue ? row : firstValue + channel(row - firstValue)) };
    case 'z_proj':
      return { row: channel };
    case 'a_proj':
    case 'b_proj':
    case 'decay':
    case 'dt_bias':
      return { row: head };
    case 'out_proj':
      return { columnHeads: { width: valueDim, from: head } };
    default:
      return {};
  }
}

/** Blocks from `layers` on are the multi-token prediction head. */
export const isPredictionTensor = (name: string, layers: number): boolean => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers;
