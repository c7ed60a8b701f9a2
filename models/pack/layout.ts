import type { ModelConfig } from '../config.ts';
import { ModelError } from '../model-error.ts';
import type { Source } from '../sources/source.ts';
import { type TensorGroup, type TensorShape, tensorGroups } from '../tensors.ts';
import { MAX_FILE_BYTES, matrixBytes, PART_ROWS, type PackTensor, type WeightType } from './manifest.ts';

export interface PackLayout {
  files: { name: string; bytes: number }[];
  tensors: Record<string, PackTensor>;
}

/** Alignment of every part: a cache line, and enough for any vector load. */
export const PART_ALIGNMENT = 64;

const alignUp = (offset: number): number => Math.ceil(offset / PART_ALIGNMENT) * PART_ALIGNMENT;

/** The type that a tensor has in a pack. */
export type TypeOf = (tensor: TensorShape) => WeightType;

/** The type a tensor has in a pack of this quantization, unless it is worth a finer one. */
export const packedType = (tensor: TensorShape, quantization: WeightType): WeightType =>
  tensor.storage === 'matrix' ? quantization : 'f32';

/**
 * The same where v_proj, which is small and suffers most, is worth eight bits: 2.2 % more bytes of SmolLM2 and a quarter less divergence from the original
 * (docs/decisions/0030-calibrated-four-bits.md).
 */
export const finerType = (tensor: TensorShape, quantization: WeightType): WeightType =>
  quantization === 'q4_0' && tensor.name.endsWith('.v_proj') ? 'q8_0' : packedType(tensor, quantization);

/** The types to pack a source's tensors in. What is stored in q4_0 is moved as it is; a hybrid's few v_projs are not known to gain what they would cost. */
export function typesFor(source: Pick<Source, 'place' | 'config'>, quantization: WeightType): TypeOf {
  return (tensor) => {
    const keep = source.config.linear !== null || source.place(tensor.name).type === 'Q4_0';
    return (keep ? packedType : finerType)(tensor, quantization);
  };
}

/** Bytes of `rows` rows of a tensor as the pack stores them. */
export function packedBytes(tensor: TensorShape, type: WeightType, rows: number): number {
  const columns = tensor.shape.at(-1)!;
  return tensor.storage === 'plain' ? rows * columns * 4 : matrixBytes(type, rows, columns);
}

/**
 * Decides the place of every tensor before a byte is written: the manifest's docstring has the rules. Throws `ModelError` when a matrix cannot be
 * quantized because its columns are no multiple of 32. @param typeOf default: all matrices have the quantization's type
 */
export function planLayout(
  config: ModelConfig,
  quantization: WeightType,
  maxFileBytes = MAX_FILE_BYTES,
  typeOf: TypeOf = (tensor) => packedType(tensor, quantization),
): PackLayout {
  const layout: PackLayout = { files: [], tensors: {} };
  for (const group of tensorGroups(config)) {
    for (const tensor of group.tensors) {
      checkColumns(tensor, quantization);
      checkSplits(tensor, typeOf(tensor), maxFileBytes);
    }
    if (group.name === 'embed' || group.name === 'head') placeTable(layout, group.tensors[0]!, quantization, maxFileBytes);
    else placeGroup(layout, group, typeOf, maxFileBytes);
  }
  return layout;
}

function checkColumns(tensor: TensorShape, quantization: WeightType): void {
  const columns = tensor.shape.at(-1)!;
  if (packedType(tensor, quantization) !== 'f32' && columns % 32) {
    throw new ModelError(
      `${tensor.name} has ${columns} columns, which is no multiple of 32, so it cannot be packed as ${quantization}; use --quant f32.`,
    );
  }
}

/** The least that must fit into one file: PART_ROWS rows of a matrix, or all of a vector. */
function checkSplits(tensor: TensorShape, type: WeightType, maxFileBytes: number): void {
  const rows = tensor.storage === 'plain' ? (tensor.shape.length === 1 ? 1 : tensor.shape[0]) : Math.min(PART_ROWS, tensor.shape[0]);
  const bytes = packedBytes(tensor, type, rows);
  if (bytes > maxFileBytes)
    throw new ModelError(`${tensor.name} needs files of at least ${bytes} bytes, and they may have ${maxFileBytes}.`);
}

/** The token table and an untied head: files of equal row counts, so that a slice of the vocabulary is a set of whole files. */
function placeTable(layout: PackLayout, tensor: TensorShape, quantization: WeightType, maxFileBytes: number): void {
  const rows = tensor.shape[0];
  const units = Math.ceil(rows / PART_ROWS);
  const unitsPerFile = Math.floor(maxFileBytes / packedBytes(tensor, quantization, PART_ROWS));
  const rowsPerFile = Math.ceil(units / Math.ceil(units / unitsPerFile)) * PART_ROWS;
  const parts: PackTensor['parts'] = [];
  for (let row = 0; row < rows; row += rowsPerFile) {
    const count = Math.min(rowsPerFile, rows - row);
    const bytes = packedBytes(tensor, quantization, count);
    parts.push({ file: layout.files.length, offset: 0, bytes, row, rows: count });
    layout.files.push({ name: `${tensor.name}-${String(parts.length - 1).padStart(3, '0')}.bin`, bytes });
  }
  layout.tensors[tensor.name] = { type: quantization, shape: tensor.shape, parts };
}

/** A layer or the final norm: tensors one after the other, a new file where one is full; a matrix may be cut at a multiple of PART_ROWS. */
function placeGroup(layout: PackLayout, group: TensorGroup, typeOf: TypeOf, maxFileBytes: number): void {
  const firstFile = layout.files.length;
  const sizes = [0];
  for (const tensor of group.tensors) {
    const type = typeOf(tensor);
    const total = tensor.storage === 'plain' ? 1 : tensor.shape[0];
    const bytesOf = (rows: number) =>
      tensor.storage === 'plain' ? tensor.shape.reduce((a, b) => a * b, 4) : packedBytes(tensor, type, rows);
    const parts: PackTensor['parts'] = [];
    for (let row = 0; row < total; ) {
      const offset = alignUp(sizes.at(-1)!);
      const rows = rowsThatFit(total - row, maxFileBytes - offset, bytesOf);
      if (rows === 0) {
        sizes.push(0);
        continue;
      }
      const bytes = bytesOf(rows);
      parts.push({ file: firstFile + sizes.length - 1, offset, bytes, row, rows });
      sizes[sizes.length - 1] = offset + bytes;
      row += rows;
    }
    if (tensor.storage === 'plain') parts[0]!.rows = tensor.shape.length === 1 ? 1 : tensor.shape[0];
    layout.tensors[tensor.name] = { type, shape: tensor.shape, parts };
  }
  for (const [i, bytes] of sizes.entries()) {
    layout.files.push({ name: sizes.length === 1 ? `${group.name}.bin` : `${group.name}-${i + 1}.bin`, bytes });
  }
}

function rowsThatFit(rows: number, space: number, bytesOf: (rows: number) => number): number {
  if (bytesOf(rows) <= space) return rows;
  return rows <= PART_ROWS ? 0 : Math.max(0, Math.floor(space / bytesOf(PART_ROWS))) * PART_ROWS;
}
