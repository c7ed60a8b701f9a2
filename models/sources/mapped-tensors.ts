import type { ModelConfig } from '../config.ts';
import { ModelError } from '../model-error.ts';
import { type TensorShape, tensorGroups } from '../tensors.ts';
import type { Source, TensorPlace, TensorRows } from './source.ts';
import { dequantizeBytes, isStoredType, STORED_TYPES, type StoredType, storedLayout } from './stored-types.ts';
import type { StoredTensor, TensorStore } from './tensor-store.ts';

/** Where one tensor of the pack comes from and what is to be done to it. */
export interface TensorMapping {
  /** Name in the file. */
  from: string;
  /** Shape in the file, when it is not the pack's own. */
  shape?: number[];
  /** Row of the file that becomes row `row`; for a vector, the element. Absent: the same. */
  row?: (row: number) => number;
  /** Columns in heads of `width`: head h of the file's row is moved from head `from(h)`. */
  columnHeads?: { width: number; from: (head: number) => number };
  /** Applied to every value, of plain tensors only. */
  value?: (value: number) => number;
}

/** `describe(name)` for every name that `tensorGroups` lists. */
export type MapTensor = (tensor: TensorShape) => TensorMapping;

interface Entry {
  wanted: TensorShape;
  mapping: TensorMapping;
  stored: StoredTensor & { type: StoredType };
}

/**
 * Checks a file's tensors against what the model needs and answers how to find and read them by the pack's names.
 * `ignored` says which tensors a file may have beside those; any other makes the model one that we would compute wrongly.
 * Throws `ModelError` for a missing tensor, a wrong shape, an unsupported type and an unknown tensor.
 */
export function mapTensors(
  store: TensorStore,
  config: ModelConfig,
  map: MapTensor,
  ignored: (name: string) => boolean,
): Pick<Source, 'read' | 'place'> {
  const entries = new Map<string, Entry>();
  for (const wanted of tensorGroups(config).flatMap((group) => group.tensors)) {
    const mapping = map(wanted);
    entries.set(wanted.name, { wanted, mapping, stored: findStored(store, wanted, mapping) });
  }
  const used = new Set([...entries.values()].map((entry) => entry.mapping.from));
  for (const name of store.tensors.keys()) {
    if (!used.has(name) && !ignored(name)) {
      throw new ModelError(`The tensor ${name} has no place in the ${config.architecture} architecture, so this model cannot be packed.`);
    }
  }
  const entryOf = (name: string): Entry => {
    const entry = entries.get(name);
    if (!entry) throw new Error(`There is no tensor ${name} in this model.`);
    return entry;
  };
  return {
    async read(name, row, rows, prefer) {
      const entry = entryOf(name);
      return entry.wanted.storage === 'plain' ? readPlain(store, entry, row, rows) : readMatrix(store, entry, row, rows, prefer);
    },
    place: (name) => placeOf(entryOf(name)),
  };
}

function placeOf({ wanted, mapping, stored }: Entry): TensorPlace {
  const layout = storedLayout(stored.type);
  const bytes = (stored.shape.reduce((product, size) => product * size, 1) / layout.block) * layout.bytes;
  return { file: stored.file, offset: stored.offset, bytes, type: stored.type, inOrder: wanted.storage !== 'plain' && !mapping.row };
}

function findStored(store: TensorStore, wanted: TensorShape, mapping: TensorMapping): StoredTensor & { type: StoredType } {
  const stored = store.tensors.get(mapping.from);
  if (!stored) throw new ModelError(`The tensor ${mapping.from} is missing from the model.`);
  const expected = mapping.shape ?? wanted.shape;
  if (stored.shape.length !== expected.length || stored.shape.some((size, i) => size !== expected[i])) {
    throw new ModelError(`The tensor ${mapping.from} has the shape [${stored.shape}], and [${expected}] was expected.`);
  }
  const { type } = stored;
  if (!isStoredType(type)) {
    throw new ModelError(
      `The tensor ${mapping.from} has the type ${type}, which is not supported; supported are ${STORED_TYPES.join(', ')}.`,
    );
  }
  const columns = stored.shape.at(-1)!;
  if (columns % storedLayout(type).block)
    throw new ModelError(`The tensor ${mapping.from} has rows of ${columns} values, which ${type} cannot hold.`);
  return { ...stored, type };
}

/** Vectors and the convolution: small, so read whole. The convolution's [channels, taps] becomes [taps, channels]. */
async function readPlain(store: TensorStore, { wanted, mapping, stored }: Entry, row: number, rows: number): Promise<TensorRows> {
  const [length, width] = wanted.shape.length === 1 ? [wanted.shape[0], 1] : [wanted.shape[1], wanted.shape[0]];
  const layout = storedLayout(stored.type);
  const values = dequantizeBytes(stored.type, await store.read(stored, 0, ((length * width) / layout.block) * layout.bytes));
  const out = new Float32Array(length * width);
  for (let i = 0; i < length; i++) {
    const from = mapping.row ? mapping.row(i) : i;
    for (let j = 0; j < width; j++) {
      const value = values[from * width + j]!;
      out[j * length + i] = mapping.value ? mapping.value(value) : value;
    }
  }
  return { type: 'f32', values: out.subarray(row * length, (row + rows) * length) };
}

async function readMatrix(
  store: TensorStore,
  { wanted, mapping, stored }: Entry,
  row: number,
  rows: number,
  prefer?: string,
): Promise<TensorRows> {
  const columns = wanted.shape[1]!;
  const layout = storedLayout(stored.type);
  const { columnHeads } = mapping;
  const bytes = await gatherRows(store, stored, (columns / layout.block) * layout.bytes, row, rows, mapping.row);
  if (prefer && stored.type === prefer.toUpperCase() && (!columnHeads || columnHeads.width % layout.block === 0)) {
    const perHead = columnHeads && (columnHeads.width / layout.block) * layout.bytes;
    return { type: prefer as 'q4_0' | 'q8_0', blocks: columnHeads ? moveHeads(bytes, rows, perHead!, columnHeads.from) : bytes };
  }
  const values = dequantizeBytes(stored.type, bytes);
  return { type: 'f32', values: columnHeads ? moveHeads(values, rows, columnHeads.width, columnHeads.from) : values };
}

/** Reorders each row's heads of `width` elements. */
function moveHeads<T extends Uint8Array | Float32Array>(values: T, rows: number, width: number, from: (head: number) => number): T {
  const out = values.slice() as T;
  const heads = values.length / rows / width;
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const source = (row * heads + from(head)) * width;
      out.set(values.subarray(source, source + width), (row * heads + head) * width);
    }
  }
  return out;
}

/** Permuted rows that lie closer than this are read together: one larger read is cheaper than many small ones. */
const MAX_GAP_ROWS = 64;

async function gatherRows(
  store: TensorStore,
  stored: StoredTensor,
  rowBytes: number,
  row: number,
  rows: number,
  from?: (row: number) => number,
) {
  if (!from) return store.read(stored, row * rowBytes, rows * rowBytes);
  const wanted = Array.from({ length: rows }, (_, i) => ({ to: i, from: from(row + i) })).sort((a, b) => a.from - b.from);
  const out = new Uint8Array(rows * rowBytes);
  for (let start = 0; start < rows; ) {
    let end = start + 1;
    while (end < rows && wanted[end]!.from - wanted[end - 1]!.from <= MAX_GAP_ROWS) end++;
    const first = wanted[start]!.from;
    const span = await store.read(stored, first * rowBytes, (wanted[end - 1]!.from - first + 1) * rowBytes);
    for (const item of wanted.slice(start, end)) {
      const at = (item.from - first) * rowBytes;
      out.set(span.subarray(at, at + rowBytes), item.to * rowBytes);
    }
    start = end;
  }
  return out;
}
