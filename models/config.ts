/**
 * What the engine must know about a model, whatever file it came from. Sources (`models/sources`) translate a Hugging Face
 * `config.json` or GGUF metadata into this form; the pack's manifest stores it; `wasm/engine` reads nothing else.
 */

/** The two architectures the engine runs. `qwen3_5` is the hybrid of gated DeltaNet and gated attention; `llama` is plain GQA. */
export type Architecture = 'qwen3_5' | 'llama';

/** How one decoder layer mixes tokens. */
export type LayerType = 'full_attention' | 'linear_attention';

/** Shapes of the gated DeltaNet layers (qwen35.md section 2.2). */
export interface LinearAttentionConfig {
  /** nk: number of query/key heads. */
  keyHeads: number;
  /** nv: number of value heads, a multiple of `keyHeads`. Value head h reads key head floor(h / (nv / nk)). */
  valueHeads: number;
  /** dk: width of a key head. */
  keyDim: number;
  /** dv: width of a value head. */
  valueDim: number;
  /** Taps of the causal depthwise convolution (4 for the whole family). */
  convKernel: number;
}

export interface ModelConfig {
  architecture: Architecture;
  /** Rows of the token table and of the head, padding included. */
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  /** One entry per decoder layer, in order. */
  layerTypes: LayerType[];
  numHeads: number;
  /** Key/value heads; query head h reads kv head floor(h / (numHeads / numKvHeads)). */
  numKvHeads: number;
  headDim: number;
  /** Leading dimensions of each head that RoPE rotates, rotate-half layout; the rest pass through. */
  rotaryDim: number;
  ropeTheta: number;
  rmsNormEps: number;
  /** True when the head is the token table. */
  tiedHead: boolean;
  /** Longest sequence, in tokens, the model was made for. */
  contextLength: number;
  /** Null for architectures without linear attention. */
  linear: LinearAttentionConfig | null;
}

/** The largest known models have a tenth of it: what says more is damaged, and a list of its layers would take all memory. */
export const MOST_LAYERS = 1_000;

/** qwen3_5 attention has a per-head output gate (interleaved in q_proj) and RMSNorm on q and k; llama has neither. */
export const hasGatedAttention = (config: ModelConfig): boolean => config.architecture === 'qwen3_5';
