import type { ModelConfig } from '../../models/config.ts';

const QWEN: ModelConfig = {
  architecture: 'qwen3_5',
  vocabSize: 320,
  hiddenSize: 64,
  intermediateSize: 96,
  layerTypes: ['linear_attention', 'full_attention', 'linear_attention', 'linear_attention'],
  numHeads: 4,
  numKvHeads: 2,
  headDim: 32,
  rotaryDim: 8,
  ropeTheta: 1e7,
  rmsNormEps: 1e-6,
  tiedHead: true,
  contextLength: 512,
  linear: { keyHeads: 2, valueHeads: 2, keyDim: 32, valueDim: 32, convKernel: 4 },
};

/** Small shapes of everything the engine runs. */
export const CONFIGS = {
  tied: QWEN,
  /** As the 4B and 9B: two value heads per key head; a head of its own; a vocabulary that fills no row group. */
  untied: { ...QWEN, vocabSize: 301, tiedHead: false, linear: { ...QWEN.linear!, valueHeads: 4 } },
  llama: {
    ...QWEN,
    architecture: 'llama',
    layerTypes: ['full_attention', 'full_attention', 'full_attention'],
    numHeads: 6,
    headDim: 16,
    numKvHeads: 2,
    rotaryDim: 16,
    ropeTheta: 1e4,
    linear: null,
  },
} satisfies Record<string, ModelConfig>;

export type ConfigName = keyof typeof CONFIGS;
