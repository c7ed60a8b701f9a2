import type { ModelConfig } from '../../models/config.ts';
import { quantizeQ4, quantizeQ8 } from '../../models/pack/quantize.ts';
import type { Source } from '../../models/sources/source.ts';
import { tensorGroups } from '../../models/tensors.ts';
import { hfToTiledIndex } from './reference.mjs';
import { type GgufMetadata, type GgufTensor, writeGguf } from './write-gguf.ts';

const NAMES: Record<string, string> = {
  embed: 'token_embd.weight',
  head: 'output.weight',
  norm: 'output_norm.weight',
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

/**
 * Writes a model as a GGUF, as llama.cpp's converter would: the inverse of what the GGUF source does, from the converter's description and with
 * the reference's own permutation. Matrices get `type`, the rest is F32. `extra` adds to and
 * overrides the metadata.
 */
export async function convertToGguf(
  source: Source,
  path: string,
  type: 'f32' | 'q8_0' | 'q4_0' = 'f32',
  extra: GgufMetadata = {},
  extraTensors: GgufTensor[] = [],
): Promise<void> {
  const { config } = source;
  const tensors: GgufTensor[] = [...extraTensors];
  for (const tensor of tensorGroups(config).flatMap((group) => group.tensors)) {
    const [key, layer] = [tensor.name.split('.').at(-1)!, tensor.name.split('.')[1]];
    const rows = tensor.shape.length === 2 ? tensor.shape[0] : 1;
    const data = await source.read(tensor.name, 0, rows);
    if (data.type !== 'f32') throw new Error('floats were asked for');
    const values = reorder(key, data.values, config, rows);
    const postNorm = config.architecture === 'llama' ? 'ffn_norm.weight' : 'post_attention_norm.weight';
    const name = (layer === undefined ? '' : `blk.${layer}.`) + (key === 'post_norm' ? postNorm : NAMES[key]);
    const shape = key === 'conv' ? tensor.shape.toReversed() : tensor.shape;
    tensors.push({ name, shape, ...encode(values, tensor.storage === 'matrix' ? type : 'f32') });
  }
  writeGguf(path, { ...metadata(config), ...extra }, tensors);
}

function encode(values: Float32Array, type: 'f32' | 'q8_0' | 'q4_0'): { type: number; data: Uint8Array } {
  if (type === 'q8_0') return { type: 8, data: quantizeQ8(values) };
  if (type === 'q4_0') return { type: 2, data: quantizeQ4(values) };
  return { type: 0, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** order[n] = index in the pack of what the GGUF has at n. */
function reorder(key: string, values: Float32Array, config: ModelConfig, rows: number): Float32Array {
  const columns = values.length / rows;
  const byRows = (order: number[], first = 0) => {
    const out = values.slice();
    order.forEach((from, to) => {
      out.set(values.subarray((first + from) * columns, (first + from + 1) * columns), (first + to) * columns);
    });
    return out;
  };
  if (key === 'conv') {
    const channelMajor = Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
    return reorder('conv_channels', channelMajor, config, columns);
  }
  if (config.architecture === 'llama') return key === 'q_proj' || key === 'k_proj' ? byRows(interleave(rows, config.headDim)) : values;
  const { keyHeads, valueHeads, keyDim, valueDim } = config.linear!;
  const channels = hfToTiledIndex(keyHeads, valueHeads, valueDim);
  const heads = hfToTiledIndex(keyHeads, valueHeads, 1);
  if (key === 'qkv_proj' || key === 'conv_channels') return byRows(channels, 2 * keyHeads * keyDim);
  if (key === 'z_proj') return byRows(channels);
  if (key === 'a_proj' || key === 'b_proj') return byRows(heads);
  if (key === 'decay' || key === 'dt_bias') return Float32Array.from(heads, (from) => values[from]!);
  if (key === 'out_proj') return values.map((_, i) => values[i - (i % columns) + channels[i % columns]!]!);
  return values;
}

/** reshape(heads, 2, d / 2).swapaxes(1, 2) */
function interleave(rows: number, headDim: number): number[] {
  const order: number[] = [];
  for (let head = 0; head < rows; head += headDim) {
    for (let i = 0; i < headDim / 2; i++) for (let half = 0; half < 2; half++) order.push(head + (half * headDim) / 2 + i);
  }
  return order;
}

function metadata(config: ModelConfig): GgufMetadata {
  const arch = config.architecture === 'llama' ? 'llama' : 'qwen35';
  const { linear } = config;
  const keys: GgufMetadata = {
    block_count: config.layerTypes.length,
    context_length: config.contextLength,
    embedding_length: config.hiddenSize,
    feed_forward_length: config.intermediateSize,
    'attention.head_count': config.numHeads,
    'attention.head_count_kv': config.numKvHeads,
    'attention.key_length': config.headDim,
    'attention.value_length': config.headDim,
    'attention.layer_norm_rms_epsilon': config.rmsNormEps,
    'rope.freq_base': config.ropeTheta,
    'rope.dimension_count': config.rotaryDim,
  };
  if (linear) {
    Object.assign(keys, {
      full_attention_interval: 4,
      'ssm.conv_kernel': linear.convKernel,
      'ssm.state_size': linear.keyDim,
      'ssm.group_count': linear.keyHeads,
      'ssm.time_step_rank': linear.valueHeads,
      'ssm.inner_size': linear.valueHeads * linear.valueDim,
    });
  }
  return {
    'general.architecture': arch,
    'general.name': 'test',
    ...Object.fromEntries(Object.entries(keys).map(([key, value]) => [`${arch}.${key}`, value])),
  };
}
