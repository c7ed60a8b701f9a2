import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackLayout } from '../pack/layout.ts';
import { matrixBytes, type PackTensor, type WeightType } from '../pack/manifest.ts';
import { untileBlocks, untileFloats } from '../pack/tiles.ts';
import type { Source, TensorRows } from '../sources/source.ts';
import { dequantizeBytes } from '../sources/stored-types.ts';
import { type TensorShape, tensorGroups } from '../tensors.ts';

const ROW_GROUP = 8;

/**
 * The weights of a pack on disk as a source, so that they can be packed again: `source` with its tensors read from `folder`, whose files lie as `layout` says.
 * Only the rows that are asked for are read.
 */
export function packedSource(source: Source, folder: string, layout: PackLayout): Source {
  const shapes = new Map(tensorGroups(source.config).flatMap(({ tensors }) => tensors.map((tensor) => [tensor.name, tensor])));
  const handles = new Map<number, Promise<FileHandle>>();
  const readBytes = async (file: number, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> => {
    const opening = handles.get(file) ?? open(join(folder, layout.files[file]!.name));
    handles.set(file, opening);
    const into = new Uint8Array(bytes);
    await (await opening).read(into, 0, bytes, offset);
    return into;
  };
  return {
    ...source,
    async read(name, row, rows, prefer) {
      const stored = layout.tensors[name]!;
      const pieces: TensorRows[] = [];
      for (const part of stored.parts) {
        const [from, to] = [Math.max(row, part.row), Math.min(row + rows, part.row + part.rows)];
        if (from < to) pieces.push(await readPart(shapes.get(name)!, stored, part, [from - part.row, to - part.row], prefer, readBytes));
      }
      return joined(pieces);
    },
    place: (name) => ({ ...source.place(name), type: layout.tensors[name]!.type.toUpperCase() }),
    async close() {
      for (const handle of handles.values()) await (await handle).close();
      handles.clear();
    },
  };
}

/** Rows `from` to `to - 1` of a part: the row groups that they are in are read, and cut. */
async function readPart(
  { storage, shape }: TensorShape,
  { type }: PackTensor,
  part: PackTensor['parts'][number],
  [from, to]: [number, number],
  prefer: 'q4_0' | 'q8_0' | undefined,
  readBytes: (file: number, offset: number, bytes: number) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<TensorRows> {
  const columns = shape.at(-1)!;
  if (storage === 'plain') {
    const bytes = await readBytes(part.file, part.offset + from * columns * 4, (to - from) * columns * 4);
    return { type: 'f32', values: new Float32Array(bytes.buffer) };
  }
  const first = from - (from % ROW_GROUP);
  const rows = Math.min(part.rows, Math.ceil(to / ROW_GROUP) * ROW_GROUP) - first;
  const tiles = await readBytes(part.file, part.offset + matrixBytes(type, first, columns), matrixBytes(type, rows, columns));
  const [skip, count] = [from - first, to - from];
  if (type === 'f32') {
    const values = untileFloats(new Float32Array(tiles.buffer), rows, columns);
    return { type, values: values.subarray(skip * columns, (skip + count) * columns) };
  }
  const blocks = untileBlocks(type, tiles, rows, columns);
  const perRow = blocks.length / rows;
  const wanted = blocks.subarray(skip * perRow, (skip + count) * perRow);
  return prefer === type ? { type, blocks: wanted } : { type: 'f32', values: dequantizeBytes(storedName(type), wanted) };
}

const storedName = (type: Exclude<WeightType, 'f32'>) => (type === 'q4_0' ? 'Q4_0' : 'Q8_0');

/** Rows that lie in several parts, one after the other. */
function joined(pieces: TensorRows[]): TensorRows {
  const [first, ...rest] = pieces;
  if (!first) throw new Error('rows that a tensor does not have were asked for');
  if (rest.length === 0) return first;
  if (first.type === 'f32')
    return {
      type: 'f32',
      values: concatenated(
        Float32Array,
        pieces.map((piece) => (piece as typeof first).values),
      ),
    };
  return {
    type: first.type,
    blocks: concatenated(
      Uint8Array,
      pieces.map((piece) => (piece as typeof first).blocks),
    ),
  };
}

function concatenated<T extends Float32Array | Uint8Array>(Values: new (length: number) => T, pieces: T[]): T {
  const all = new Values(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
