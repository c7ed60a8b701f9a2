import type { ModelConfig } from './config.ts';
import { hasGatedAttention } from './config.ts';

/** One tensor of a pack, as the manifest's docstring names them. */
export interface TensorShape {
  name: string;
  /** [length] or [rows, columns]. */
  shape: [number] | [number, number];
  /**
   * `matrix`: quantized and tiled. `float_matrix`: tiled but always f32 (a_proj, b_proj: tiny, and their errors compound in the recurrent state).
   * `plain`: always f32, row-major (vectors, and conv).
   */
  storage: 'matrix' | 'float_matrix' | 'plain';
}

/** Where a tensor lives: pack files never mix groups. */
export interface TensorGroup {
  /** File name without number and extension: `embed`, `head`, `layer-07` or `final`. */
  name: string;
  tensors: TensorShape[];
}

const matrix = (name: string, rows: number, columns: number): TensorShape => ({ name, shape: [rows, columns], storage: 'matrix' });
const floatMatrix = (name: string, rows: number, columns: number): TensorShape => ({
  name,
  shape: [rows, columns],
  storage: 'float_matrix',
});
const vector = (name: string, length: number): TensorShape => ({ name, shape: [length], storage: 'plain' });

function attentionTensors(config: ModelConfig, prefix: string): TensorShape[] {
  const { hiddenSize: H, numHeads, numKvHeads, headDim } = config;
  const gated = hasGatedAttention(config);
  return [
    matrix(`${prefix}q_proj`, numHeads * headDim * (gated ? 2 : 1), H),
    matrix(`${prefix}k_proj`, numKvHeads * headDim, H),
    matrix(`${prefix}v_proj`, numKvHeads * headDim, H),
    ...(gated ? [vector(`${prefix}q_norm`, headDim), vector(`${prefix}k_norm`, headDim)] : []),
    matrix(`${prefix}o_proj`, H, numHeads * headDim),
  ];
}

function linearAttentionTensors(config: ModelConfig, prefix: string): TensorShape[] {
  const { hiddenSize: H, linear } = config;
  if (!linear) throw new Error('The configuration has linear attention layers but no shapes for them.');
  const values = linear.valueHeads * linear.valueDim;
  const channels = 2 * linear.keyHeads * linear.keyDim + values;
  return [
    matrix(`${prefix}qkv_proj`, channels, H),
    matrix(`${prefix}z_proj`, values, H),
    floatMatrix(`${prefix}b_proj`, linear.valueHeads, H),
    floatMatrix(`${prefix}a_proj`, linear.valueHeads, H),
    { name: `${prefix}conv`, shape: [linear.convKernel, channels], storage: 'plain' },
    vector(`${prefix}decay`, linear.valueHeads),
    vector(`${prefix}dt_bias`, linear.valueHeads),
    vector(`${prefix}linear_norm`, linear.valueDim),
    matrix(`${prefix}out_proj`, H, values),
  ];
}

function layerTensors(config: ModelConfig, layer: number): TensorShape[] {
  const { hiddenSize: H, intermediateSize: I } = config;
  const prefix = `layers.${layer}.`;
  const mixer = config.layerTypes[layer] === 'full_attention' ? attentionTensors : linearAttentionTensors;
  return [
    vector(`${prefix}input_norm`, H),
    ...mixer(config, prefix),
    vector(`${prefix}post_norm`, H),
    matrix(`${prefix}gate_proj`, I, H),
    matrix(`${prefix}up_proj`, I, H),
    matrix(`${prefix}down_proj`, H, I),
  ];
}

/** Every tensor of a packed model in file order: token table, layers, final norm, untied head. The single list of names and shapes. */
export function tensorGroups(config: ModelConfig): TensorGroup[] {
  const table = (name: string) => ({ name, tensors: [matrix(name, config.vocabSize, config.hiddenSize)] });
  return [
    table('embed'),
    ...config.layerTypes.map((_, layer) => ({ name: `layer-${String(layer).padStart(2, '0')}`, tensors: layerTensors(config, layer) })),
    { name: 'final', tensors: [vector('norm', config.hiddenSize)] },
    ...(config.tiedHead ? [] : [table('head')]),
  ];
}
