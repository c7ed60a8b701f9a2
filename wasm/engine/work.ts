import { hasGatedAttention, type ModelConfig } from '../../models/config.ts';

/** Floating-point multiply-adds take about four times as long as those of the integer products. */
const FLOAT = 4;
/** Those of attention to a cache of 16-bit integers, softmax included. */
const ATTENTION = 2;

/** How much computing the parts of a model take for one row, in multiply-adds of integer products: what a yield to the event loop is bounded by. */
export interface Work {
  /** The first half of layer n for a row at this position. */
  mixer(layer: number, position: number): number;
  /** The second half of any layer. */
  mlp: number;
  /** One row of the head. */
  headRow: number;
}

export function workOf(config: ModelConfig): Work {
  const { hiddenSize, numHeads, numKvHeads, headDim, linear } = config;
  const heads = numHeads * headDim;
  const attention = hiddenSize * (heads * (hasGatedAttention(config) ? 3 : 2) + 2 * numKvHeads * headDim);
  const values = linear ? linear.valueHeads * linear.valueDim : 0;
  const keys = linear ? linear.keyHeads * linear.keyDim : 0;
  const delta = hiddenSize * (2 * keys + 3 * values) + FLOAT * 3 * values * (linear?.keyDim ?? 0);
  return {
    mixer: (layer, position) =>
      config.layerTypes[layer] === 'linear_attention' ? delta : attention + ATTENTION * 2 * heads * (position + 1),
    mlp: 3 * hiddenSize * config.intermediateSize,
    headRow: hiddenSize,
  };
}
