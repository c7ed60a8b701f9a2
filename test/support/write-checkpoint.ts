import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig } from '../../models/config.ts';
import { mapHuggingFace } from '../../models/sources/safetensors/names.ts';
import { tensorGroups } from '../../models/tensors.ts';

/** Qwen3.5-0.8B's text model. */
export const QWEN35_08B: ModelConfig = {
  architecture: 'qwen3_5',
  vocabSize: 248320,
  hiddenSize: 1024,
  intermediateSize: 3584,
  layerTypes: Array.from({ length: 24 }, (_, i) => (i % 4 === 3 ? 'full_attention' : 'linear_attention')),
  numHeads: 8,
  numKvHeads: 2,
  headDim: 256,
  rotaryDim: 64,
  ropeTheta: 1e7,
  rmsNormEps: 1e-6,
  tiedHead: true,
  contextLength: 262144,
  linear: { keyHeads: 16, valueHeads: 16, keyDim: 128, valueDim: 128, convKernel: 4 },
};

const PREFIX = 'model.language_model.';

/**
 * Writes a multimodal checkpoint in Hugging Face layout with random bf16 weights, as one file: the text model of `config`, and beside it a vision tower and a
 * prediction head of `extraBytes` each, under names that sort before and after it. For tests of moving files, at any size.
 */
export function writeCheckpoint(folder: string, config: ModelConfig, extraBytes = 4096): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(huggingFaceConfig(config)));
  const map = mapHuggingFace(config, PREFIX);
  const tensors = tensorGroups(config)
    .flatMap((group) => group.tensors)
    .map((tensor) => ({ name: map(tensor).from, shape: map(tensor).shape ?? (tensor.shape as number[]) }));
  const extra = ['model.visual.blocks.0.attn.qkv.weight', 'mtp.layers.0.mlp.up_proj.weight', 'model.visual.merger.norm.weight'];
  tensors.push(...extra.map((name) => ({ name, shape: [extraBytes / 2] })));
  tensors.sort((a, b) => (a.name < b.name ? -1 : 1));
  writeTensors(join(folder, 'model.safetensors'), tensors);
}

function writeTensors(path: string, tensors: { name: string; shape: number[] }[]): void {
  let at = 0;
  const entries = tensors.map(({ name, shape }) => {
    const start = at;
    at += shape.reduce((product, size) => product * size, 2);
    return [name, { dtype: 'BF16', shape, data_offsets: [start, at] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([length, header]));
  const values = randomBf16(1 << 20);
  // Each piece starts elsewhere among the random values, so that no two pieces of the file are alike.
  for (let piece = 0; at > 0; piece++) {
    const from = (piece * 7919 * 2) % (values.length / 2);
    const bytes = values.subarray(from, from + Math.min(at, values.length / 2));
    writeSync(file, bytes);
    at -= bytes.length;
  }
  closeSync(file);
}

/** `count` values between -0.06 and 0.06. */
function randomBf16(count: number): Uint8Array {
  const bytes = new Uint8Array(count * 2);
  for (let i = 0, state = 1; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = new Uint32Array(Float32Array.of((state / 2 ** 32 - 0.5) / 8).buffer)[0]!;
    bytes[2 * i] = value >>> 16;
    bytes[2 * i + 1] = value >>> 24;
  }
  return bytes;
}

function huggingFaceConfig(config: ModelConfig) {
  const { linear } = config;
  return {
    model_type: 'qwen3_5',
    tie_word_embeddings: config.tiedHead,
    text_config: {
      vocab_size: config.vocabSize,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
      num_hidden_layers: config.layerTypes.length,
      layer_types: config.layerTypes,
      num_attention_heads: config.numHeads,
      num_key_value_heads: config.numKvHeads,
      head_dim: config.headDim,
      rms_norm_eps: config.rmsNormEps,
      max_position_embeddings: config.contextLength,
      rope_parameters: { rope_type: 'default', rope_theta: config.ropeTheta, partial_rotary_factor: config.rotaryDim / config.headDim },
      linear_num_key_heads: linear!.keyHeads,
      linear_num_value_heads: linear!.valueHeads,
      linear_key_head_dim: linear!.keyDim,
      linear_value_head_dim: linear!.valueDim,
      linear_conv_kernel_dim: linear!.convKernel,
      eos_token_id: 0,
    },
  };
}
