import type { ModelConfig } from '../../models/config.ts';
import { ModelError } from '../../models/model-error.ts';
import type { Manifest, PackTensor } from '../../models/pack/manifest.ts';
import type { PackStorage } from '../../models/pack/storage.ts';
import { tensorGroups } from '../../models/tensors.ts';
import type { Arena } from './arena.ts';
import type { Kernel } from './kernel.ts';
import type { StageSpec } from './stage.ts';
import { LAYER, MATRIX, PART, structBytes, writeStruct } from './structs.ts';

/** Where a stage's weights are. Addresses; 0 for what the stage does not hold. */
export interface Weights {
  /** Layer records, in order. */
  layers: { address: number; kind: ModelConfig['layerTypes'][number] }[];
  /** Matrix records of the token table and the head. */
  embed: number;
  head: number;
  finalNorm: number;
  bytes: number;
}

/** Files read at the same time: reading one while another is checked hides most of the latency, and more would not help. */
const IN_FLIGHT = 4;
const TYPES = { f32: 0, q8_0: 1, q4_0: 2 } as const;

/** Bytes a layer keeps per session, and where. */
export interface LayerPlaces {
  pageOffset: number;
  stateOffset: number;
}

/** Indices of the pack's files that a stage needs, ascending. */
export function filesOf(manifest: Manifest, spec: StageSpec): number[] {
  const names = tensorGroups(manifest.config)
    .filter(({ name }) => (name === 'final' ? spec.head !== null : isLayerOf(name, spec)))
    .flatMap((group) => group.tensors.map((tensor) => tensor.name));
  const parts = names.flatMap((name) => manifest.tensors[name]!.parts);
  const rowsOf = (table: string, range: StageSpec['head']) =>
    range ? manifest.tensors[table]!.parts.filter((part) => part.row < range.last && part.row + part.rows > range.first) : [];
  parts.push(...rowsOf('embed', spec.embed), ...rowsOf(headName(manifest), spec.head));
  return [...new Set(parts.map((part) => part.file))].sort((a, b) => a - b);
}

const headName = (manifest: Manifest): string => (manifest.config.tiedHead ? 'embed' : 'head');

function isLayerOf(group: string, { layers }: StageSpec): boolean {
  const layer = /^layer-(\d+)$/.exec(group)?.[1];
  return layer !== undefined && Number(layer) >= layers.first && Number(layer) < layers.last;
}

/** Lays a stage's files and records out in memory; `read` fills them. Two steps, because allocating detaches what is being read into. */
export class WeightLoader {
  readonly weights: Weights;
  readonly #manifest: Manifest;
  readonly #arena: Arena;
  readonly #kernel: Kernel;
  /** Address of each file held. */
  readonly #files = new Map<number, number>();
  /** Records to write once nothing more is allocated. */
  readonly #writes: (() => void)[] = [];

  /** Throws `StageError` `out_of_memory`. @param placesOf where layer n keeps its share of a session's state */
  constructor(manifest: Manifest, spec: StageSpec, arena: Arena, kernel: Kernel, placesOf: (layer: number) => LayerPlaces) {
    this.#manifest = manifest;
    this.#arena = arena;
    this.#kernel = kernel;
    for (const file of filesOf(manifest, spec)) this.#files.set(file, arena.allocate(manifest.files[file]!.bytes));
    const layers: Weights['layers'] = [];
    for (let n = spec.layers.first; n < spec.layers.last; n++) {
      layers.push({ address: this.#layer(n, placesOf(n)), kind: manifest.config.layerTypes[n]! });
    }
    this.weights = {
      layers,
      embed: spec.embed ? this.#matrix('embed') : 0,
      head: spec.head ? this.#matrix(headName(manifest)) : 0,
      finalNorm: spec.head ? this.#vector('norm') : 0,
      bytes: [...this.#files.keys()].reduce((sum, file) => sum + manifest.files[file]!.bytes, 0),
    };
  }

  /** Reads every file to its place and checks it. Throws what the storage throws, or `ModelError` naming the damaged file. */
  async read(storage: PackStorage): Promise<void> {
    for (const write of this.#writes) write();
    const queue = this.#files.entries();
    const worker = async () => {
      for (const [file, address] of queue) await this.#readFile(storage, file, address);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  }

  async #readFile(storage: PackStorage, index: number, address: number): Promise<void> {
    const { name, bytes, checksum } = this.#manifest.files[index]!;
    await storage.read(name, new Uint8Array(this.#arena.memory.buffer, address, bytes));
    if (this.#kernel.checksum(address, bytes) >>> 0 !== checksum) {
      throw new ModelError(`${name} is damaged: its checksum does not match the manifest. Copy the pack again, or pack the model again.`);
    }
  }

  #layer(n: number, places: LayerPlaces): number {
    const address = this.#arena.allocate(structBytes(LAYER));
    const matrix = (name: string) => this.#matrix(`layers.${n}.${name}`);
    const vector = (name: string) => this.#vector(`layers.${n}.${name}`);
    const linear = this.#manifest.config.layerTypes[n] === 'linear_attention';
    const attention = linear ? () => 0 : matrix;
    const delta = linear ? matrix : () => 0;
    const values = {
      inputNorm: vector('input_norm'),
      postNorm: vector('post_norm'),
      gateProj: matrix('gate_proj'),
      upProj: matrix('up_proj'),
      downProj: matrix('down_proj'),
      qProj: attention('q_proj'),
      kProj: attention('k_proj'),
      vProj: attention('v_proj'),
      oProj: attention('o_proj'),
      qNorm: vector('q_norm'),
      kNorm: vector('k_norm'),
      qkvProj: delta('qkv_proj'),
      zProj: delta('z_proj'),
      bProj: delta('b_proj'),
      aProj: delta('a_proj'),
      outProj: delta('out_proj'),
      conv: vector('conv'),
      decay: vector('decay'),
      dtBias: vector('dt_bias'),
      linearNorm: vector('linear_norm'),
      ...places,
    };
    this.#writes.push(() => writeStruct(this.#arena.memory.buffer, address, LAYER, values));
    return address;
  }

  /** Address of a vector (or the convolution's weights), 0 when this kind of layer has none. */
  #vector(name: string): number {
    const part = this.#manifest.tensors[name]?.parts[0];
    return part ? this.#files.get(part.file)! + part.offset : 0;
  }

  /** Matrix record of the parts that are held. */
  #matrix(name: string): number {
    const tensor = this.#manifest.tensors[name];
    if (!tensor) throw new ModelError(`The tensor ${name} is missing from the manifest.`);
    const [rows, columns] = tensor.shape as [number, number];
    const held = tensor.parts.filter((part) => this.#files.has(part.file));
    const address = this.#arena.allocate(structBytes(MATRIX) + held.length * structBytes(PART));
    const parts = address + structBytes(MATRIX);
    this.#writes.push(() => {
      const { buffer } = this.#arena.memory;
      writeStruct(buffer, address, MATRIX, { type: TYPES[tensor.type], rows, columns, partCount: held.length, parts });
      for (const [i, part] of held.entries()) writeStruct(buffer, parts + i * structBytes(PART), PART, this.#part(part));
    });
    return address;
  }

  #part({ row, rows, file, offset }: PackTensor['parts'][number]) {
    return { firstRow: row, rows, data: this.#files.get(file)! + offset };
  }
}
