import type { ModelConfig } from '../../models/config.ts';
import { checksum } from '../../models/pack/checksum.ts';
import { packedType, planLayout, type TypeOf } from '../../models/pack/layout.ts';
import { MAX_FILE_BYTES, type Manifest, type WeightType } from '../../models/pack/manifest.ts';
import { quantizeQ4, quantizeQ8 } from '../../models/pack/quantize.ts';
import type { Pack } from '../../models/pack/reader.ts';
import { tileBlocks, tileFloats } from '../../models/pack/tiles.ts';
import { type TensorShape, tensorGroups } from '../../models/tensors.ts';
import { rng } from './rng.ts';

export interface MemoryPack extends Pack {
  /** Contents of its files by name: a test may damage or remove them. */
  files: Map<string, Uint8Array>;
  /** Names of the files that were read, in order. */
  reads: string[];
}

export interface MemoryPackOptions {
  tokenCount?: number;
  /** Small files make a small model's tensors come in several parts. */
  maxFileBytes?: number;
  /** Type of each tensor. Default: all matrices have the quantization's. */
  typeOf?: TypeOf;
}

/** A pack in memory from row-major tensors in the manifest's names, made with the packer's own layout, quantizers and tiles. */
export function memoryPack(
  config: ModelConfig,
  tensors: Map<string, Float32Array>,
  quantization: WeightType,
  {
    tokenCount = config.vocabSize,
    maxFileBytes = MAX_FILE_BYTES,
    typeOf = (tensor) => packedType(tensor, quantization),
  }: MemoryPackOptions = {},
): MemoryPack {
  const layout = planLayout(config, quantization, maxFileBytes, typeOf);
  const contents = layout.files.map(({ bytes }) => new Uint8Array(bytes));
  for (const tensor of tensorGroups(config).flatMap((group) => group.tensors)) {
    const columns = tensor.shape.at(-1)!;
    for (const part of layout.tensors[tensor.name]!.parts) {
      const rows = tensors.get(tensor.name)!.subarray(part.row * columns, (part.row + part.rows) * columns);
      contents[part.file]!.set(packRows(tensor, typeOf(tensor), rows, part.rows, columns), part.offset);
    }
  }
  const files = new Map(layout.files.map(({ name }, i) => [name, contents[i]!]));
  const manifest: Manifest = {
    format: 'nearside-pack',
    version: 1,
    name: 'memory',
    source: 'test',
    fixture: true,
    quantization,
    config,
    tokenCount,
    eosIds: [],
    sampling: { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 },
    thinkingDefault: null,
    chatTemplate: null,
    tokenizer: null,
    files: layout.files.map(({ name, bytes }, i) => ({ name, bytes, sha256: '', checksum: checksum(contents[i]!) })),
    tensors: layout.tensors,
  };
  const reads: string[] = [];
  const read = async (name: string, into: Uint8Array) => {
    reads.push(name);
    const bytes = files.get(name);
    if (bytes?.length !== into.length) throw new Error(`${name} is missing, short or long.`);
    into.set(bytes);
  };
  const storage = { manifest: async () => JSON.stringify(manifest), read };
  return { manifest, storage, files, reads, file: async ({ name }) => files.get(name)! };
}

function packRows(tensor: TensorShape, type: WeightType, values: Float32Array, rows: number, columns: number): Uint8Array {
  if (tensor.storage === 'plain') return new Uint8Array(values.slice().buffer);
  if (type === 'f32') return new Uint8Array(tileFloats(values, rows, columns).buffer);
  return tileBlocks(type, type === 'q4_0' ? quantizeQ4(values) : quantizeQ8(values), rows, columns);
}

/** Random weights in the manifest's names, of the sizes that keep activations near 1. */
export function randomWeights(config: ModelConfig, seed: number): Map<string, Float32Array> {
  const { n } = rng(seed);
  const tensors = new Map<string, Float32Array>();
  for (const { name, shape, storage } of tensorGroups(config).flatMap((group) => group.tensors)) {
    const kind = name.split('.').at(-1)!;
    const scale = name === 'embed' ? 1 : 1 / Math.sqrt(shape.at(-1)!);
    const draw: () => number =
      kind === 'decay'
        ? () => -Math.exp(n())
        : kind === 'conv' || kind === 'dt_bias'
          ? () => 0.5 * n()
          : storage === 'plain'
            ? () => 1 + 0.1 * n()
            : () => scale * n();
    tensors.set(name, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, draw));
  }
  return tensors;
}
