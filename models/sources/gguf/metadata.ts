import { type LayerType, MOST_LAYERS, type ModelConfig } from '../../config.ts';
import { ModelError } from '../../model-error.ts';
import type { GgufTokenizer } from '../../tokenizer/source.ts';
import { hybridLayerType } from '../safetensors/config.ts';
import type { GgufValue } from './cursor.ts';
import type { GgufStore } from './store.ts';

const ARCHITECTURES: Record<string, ModelConfig['architecture']> = { qwen35: 'qwen3_5', llama: 'llama' };

/** Typed access to a file's metadata. Keys are relative to the architecture: "attention.head_count". */
class Metadata {
  #values: Map<string, GgufValue>;
  readonly architecture: string;

  constructor(values: Map<string, GgufValue>) {
    this.#values = values;
    this.architecture = String(values.get('general.architecture') ?? '');
  }

  get(key: string): GgufValue | undefined {
    return this.#values.get(`${this.architecture}.${key}`);
  }

  optional(key: string): number | undefined {
    const value = this.get(key);
    return typeof value === 'number' ? value : undefined;
  }

  number(key: string): number {
    const value = this.optional(key);
    if (value === undefined) throw new ModelError(`The GGUF metadata has no number ${this.architecture}.${key}.`);
    return value;
  }
}

/** Translates a GGUF's metadata. Throws `ModelError` for an architecture we do not know and for variants that we would compute wrongly. */
export function readGgufConfig(store: GgufStore): ModelConfig {
  const metadata = new Metadata(store.metadata);
  const architecture = ARCHITECTURES[metadata.architecture];
  if (!architecture) {
    throw new ModelError(
      `The GGUF architecture "${metadata.architecture}" is not supported; supported are ${Object.keys(ARCHITECTURES).join(', ')}.`,
    );
  }
  refuseVariants(metadata, store);
  const table = store.tensors.get('token_embd.weight');
  if (!table) throw new ModelError('The tensor token_embd.weight is missing from the model.');
  const hiddenSize = metadata.number('embedding_length');
  const numHeads = metadata.number('attention.head_count');
  const headDim = metadata.optional('attention.key_length') ?? hiddenSize / numHeads;
  // The multi-token prediction head is stored as further blocks after the decoder's own.
  const layers = metadata.number('block_count') - (metadata.optional('nextn_predict_layers') ?? 0);
  if (!Number.isInteger(layers) || layers < 1 || layers > MOST_LAYERS)
    throw new ModelError(`The GGUF metadata speaks of ${layers} layers; a model may have 1 to ${MOST_LAYERS}.`);
  const config: ModelConfig = {
    architecture,
    vocabSize: table.shape[0]!,
    hiddenSize,
    intermediateSize: metadata.number('feed_forward_length'),
    layerTypes: layerTypes(metadata, architecture, layers, store),
    numHeads,
    numKvHeads: kvHeads(metadata, numHeads),
    headDim,
    rotaryDim: metadata.optional('rope.dimension_count') ?? headDim,
    ropeTheta: metadata.optional('rope.freq_base') ?? 10_000,
    rmsNormEps: roundFloat(metadata.number('attention.layer_norm_rms_epsilon')),
    tiedHead: !store.tensors.has('output.weight'),
    contextLength: metadata.number('context_length'),
    linear: architecture === 'qwen3_5' ? linearConfig(metadata) : null,
  };
  if (architecture === 'llama' && config.rotaryDim !== headDim) {
    throw new ModelError(`RoPE over ${config.rotaryDim} of ${headDim} dimensions is not supported for the llama architecture.`);
  }
  return config;
}

function refuseVariants(metadata: Metadata, store: GgufStore): void {
  const scaling = metadata.get('rope.scaling.type');
  if (scaling !== undefined && scaling !== 'none') throw new ModelError(`RoPE scaling of type "${scaling}" is not supported.`);
  if (store.tensors.has('rope_freqs.weight'))
    throw new ModelError('RoPE scaling by rope_freqs.weight (Llama 3.1 and later) is not supported.');
  if (metadata.optional('expert_count')) throw new ModelError('Mixture-of-experts models are not supported.');
  const [key, value] = [metadata.optional('attention.key_length'), metadata.optional('attention.value_length')];
  if (key !== value) throw new ModelError(`Attention with keys of ${key} and values of ${value} dimensions is not supported.`);
}

/** Metadata floats are single precision: 9.999999974752427e-7 was meant as 1e-6. */
const roundFloat = (value: number): number => Number(value.toPrecision(7));

/** One number, or one per layer with 0 for layers without attention. */
function kvHeads(metadata: Metadata, fallback: number): number {
  const value = metadata.get('attention.head_count_kv');
  if (!Array.isArray(value)) return metadata.optional('attention.head_count_kv') ?? fallback;
  const counts = new Set(value.filter((count) => count !== 0));
  if (counts.size !== 1) throw new ModelError('Layers with different numbers of key/value heads are not supported.');
  return Number([...counts][0]);
}

/** By the interval where the file gives one; files with another pattern show it by which tensors a block has. */
function layerTypes(metadata: Metadata, architecture: ModelConfig['architecture'], layers: number, store: GgufStore): LayerType[] {
  const interval = metadata.optional('full_attention_interval');
  return Array.from({ length: layers }, (_, i) => {
    if (architecture === 'llama') return 'full_attention';
    if (interval) return hybridLayerType(i, interval);
    return store.tensors.has(`blk.${i}.attn_q.weight`) ? 'full_attention' : 'linear_attention';
  });
}

function linearConfig(metadata: Metadata): ModelConfig['linear'] {
  const keyHeads = metadata.number('ssm.group_count');
  const valueHeads = metadata.number('ssm.time_step_rank');
  if (valueHeads % keyHeads) throw new ModelError(`${valueHeads} value heads cannot share ${keyHeads} key heads.`);
  return {
    keyHeads,
    valueHeads,
    keyDim: metadata.number('ssm.state_size'),
    valueDim: metadata.number('ssm.inner_size') / valueHeads,
    convKernel: metadata.number('ssm.conv_kernel'),
  };
}

/** The `tokenizer.ggml.*` metadata; null when the file has no tokens. */
export function readGgufTokenizer(values: Map<string, GgufValue>): GgufTokenizer | null {
  const get = (key: string) => values.get(`tokenizer.ggml.${key}`);
  const tokens = get('tokens');
  if (!Array.isArray(tokens) || typeof get('model') !== 'string') return null;
  const id = (key: string) => (typeof get(key) === 'number' ? Number(get(key)) : null);
  const list = (key: string) => {
    const value = get(key) ?? null;
    if (value !== null && !Array.isArray(value)) throw new ModelError(`The GGUF metadata is damaged: tokenizer.ggml.${key} is no list.`);
    return value;
  };
  const addBos = get('add_bos_token');
  return {
    kind: 'gguf',
    model: String(get('model')),
    pre: String(get('pre') ?? ''),
    tokens: tokens.map(String),
    types: (list('token_type') as number[] | null) ?? tokens.map(() => 1),
    merges: (list('merges') ?? []).map(String),
    eosId: id('eos_token_id'),
    bosId: id('bos_token_id'),
    addBos: typeof addBos === 'boolean' ? addBos : null,
  };
}

/** Control tokens that end a turn or a text in the chat formats in use. */
const END_TOKENS = new Set([
  '<|im_end|>',
  '<|endoftext|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end_of_text|>',
  '<|end|>',
  '<end_of_turn>',
  '</s>',
]);
const CONTROL = 3;

/** The end token that the file names, and every control token that is known to end a turn. */
export function readGgufEos(tokenizer: GgufTokenizer | null): number[] {
  if (!tokenizer) return [];
  const named = tokenizer.tokens.flatMap((token, id) => (tokenizer.types[id] === CONTROL && END_TOKENS.has(token) ? [id] : []));
  return [...new Set([...named, ...(tokenizer.eosId === null ? [] : [tokenizer.eosId])])].sort((a, b) => a - b);
}
