/**
 * What the TypeScript side writes into memory for the kernels to read. Every field is 4 bytes and the order is the format: wasm/engine/structs.ts lists
 * the same names in the same order (a test compares the two files). Pointers are byte addresses; 0 is "none".
 */

/** Consecutive rows of a matrix that lie together in memory. `firstRow` is a multiple of 32. */
@unmanaged export class Part {
  firstRow: i32;
  rows: i32;
  data: usize;
}

/** A weight matrix [rows, columns], tiled as models/pack/manifest.ts describes, in one part or several. */
@unmanaged export class Matrix {
  type: i32;
  rows: i32;
  columns: i32;
  partCount: i32;
  parts: usize;
}

/** Weight types. */
export const F32 = 0;
export const Q8_0 = 1;
export const Q4_0 = 2;

/** Shapes of the model, and where the scratch buffers lie. A buffer holds one line for each row of a micro-batch. */
@unmanaged export class Model {
  hidden: i32;
  intermediate: i32;
  heads: i32;
  kvHeads: i32;
  headDim: i32;
  rotaryDim: i32;
  epsilon: f32;
  /** 1 when attention has an output gate and normed q and k (qwen3_5), 0 when not (llama). */
  gated: i32;
  /** 1 when the KV cache holds 16-bit integers, 0 when it holds floats. */
  int16Kv: i32;
  keyHeads: i32;
  valueHeads: i32;
  keyDim: i32;
  valueDim: i32;
  taps: i32;

  /** Residual stream [M, hidden]. */
  x: usize;
  /** Output of a norm [M, hidden], and of a mixer or MLP before it is added to the residual stream. */
  normed: usize;
  /** Attention: q (and gate) [M, ...], k, v [M, kvHeads * headDim], mixed heads [M, heads * headDim]. */
  q: usize;
  k: usize;
  v: usize;
  mixed: usize;
  /** Attention: state of each softmax [M, heads, 4], scores of a page [M, heads, 64], and sums of a page's values for four heads of each thread [4, headDim]. */
  running: usize;
  scores: usize;
  sums: usize;
  /** DeltaNet: q|k|v [M, channels], z [M, valueHeads * valueDim], b and a [M, valueHeads rounded up to 8]. The mixed heads go to `mixed`. */
  qkv: usize;
  z: usize;
  b: usize;
  a: usize;
  /** DeltaNet: what positions are computed with [valueHeads, M, 16] (delta-rule.ts). */
  factors: usize;
  /** MLP [M, intermediate]. */
  gate: usize;
  up: usize;
  /** RoPE tables [M, rotaryDim / 2]. */
  cos: usize;
  sin: usize;
}

/** One decoder layer. Fields of the other kind of mixer are 0. */
@unmanaged export class Layer {
  inputNorm: usize;
  postNorm: usize;
  gateProj: usize;
  upProj: usize;
  downProj: usize;

  qProj: usize;
  kProj: usize;
  vProj: usize;
  oProj: usize;
  qNorm: usize;
  kNorm: usize;
  /** Where in each KV page this layer's keys begin, in bytes. */
  pageOffset: i32;

  qkvProj: usize;
  zProj: usize;
  bProj: usize;
  aProj: usize;
  conv: usize;
  decay: usize;
  dtBias: usize;
  linearNorm: usize;
  outProj: usize;
  /** Where in a session's recurrent state this layer's begins, in bytes: the convolution's, then the delta rule's. */
  stateOffset: i32;
}

/** One row of a micro-batch: one position of one sequence. */
@unmanaged export class Row {
  position: i32;
  /** Table of the session's KV pages: page i holds positions 64 i to 64 i + 63. */
  pages: usize;
  /** The session's recurrent state. */
  state: usize;
}

/** Positions in a KV page. */
export const PAGE = 64;

export const ROW_BYTES: usize = offsetof<Row>();
