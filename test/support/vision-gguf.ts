import { type GgufTensor, writeGguf } from './write-gguf.ts';

/** Widths of make-gguf.mjs's `tiny`, which reads what this model sees, and of the vision tower. */
const textWidth = 64;
const width = 64;
const feedForward = 128;
const layers = 2;
const patch = 16;
const mergedWidth = 4 * width;

/**
 * Writes the random-weight vision tower of a Qwen3.5 (two layers, a 2 x 2 merger) in the form that llama.cpp reads beside a text model, for the `tiny` preset of
 * make-gguf.mjs. Names and keys are those of llama.cpp's tools/mtmd/clip-impl.h.
 */
export function writeVisionGguf(path: string): void {
  const random = uniform(7);
  const tensors: GgufTensor[] = [];
  const add = (name: string, shape: number[], value: () => number = random) => {
    const floats = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, value);
    tensors.push({ name, shape, type: 0, data: new Uint8Array(floats.buffer) });
  };
  const linear = (name: string, output: number, input: number) => {
    add(`${name}.weight`, [output, input]);
    add(`${name}.bias`, [output]);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, [width], () => 1);
    add(`${name}.bias`, [width]);
  };
  for (const name of ['v.patch_embd.weight', 'v.patch_embd.weight.1']) add(name, [width, 3, patch, patch]);
  add('v.patch_embd.bias', [width]);
  add('v.position_embd.weight', [256, width]);
  for (let layer = 0; layer < layers; layer++) {
    const block = `v.blk.${layer}`;
    norm(`${block}.ln1`);
    norm(`${block}.ln2`);
    linear(`${block}.attn_qkv`, 3 * width, width);
    linear(`${block}.attn_out`, width, width);
    linear(`${block}.ffn_up`, feedForward, width);
    linear(`${block}.ffn_down`, width, feedForward);
  }
  norm('v.post_ln');
  linear('mm.0', mergedWidth, mergedWidth);
  linear('mm.2', textWidth, mergedWidth);
  writeGguf(
    path,
    {
      'general.architecture': 'clip',
      'clip.has_vision_encoder': true,
      'clip.projector_type': 'qwen3vl_merger',
      'clip.use_gelu': true,
      'clip.vision.image_size': 256,
      'clip.vision.patch_size': patch,
      'clip.vision.embedding_length': width,
      'clip.vision.feed_forward_length': feedForward,
      'clip.vision.projection_dim': textWidth,
      'clip.vision.block_count': layers,
      'clip.vision.attention.head_count': 2,
      'clip.vision.attention.layer_norm_epsilon': 1e-6,
      'clip.vision.spatial_merge_size': 2,
      'clip.vision.image_mean': [0.5, 0.5, 0.5],
      'clip.vision.image_std': [0.5, 0.5, 0.5],
    },
    tensors,
  );
}

/** Numbers from -0.2 to 0.2, the same each time. (Mulberry32.) */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return 0.4 * (((t ^ (t >>> 14)) >>> 0) / 2 ** 32 - 0.5);
  };
}
