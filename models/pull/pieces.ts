import { ModelError } from '../model-error.ts';
import type { PackLayout } from '../pack/layout.ts';
import { PART_ROWS, type PackTensor } from '../pack/manifest.ts';
import type { Source } from '../sources/source.ts';
import { type TensorShape, tensorGroups } from '../tensors.ts';

/** Rows of one tensor that become bytes of one pack file. */
export interface PieceRows {
  tensor: TensorShape;
  part: PackTensor['parts'][number];
  row: number;
  rows: number;
}

/** Consecutive bytes of a weight file, and what they become. */
export interface Piece {
  start: number;
  end: number;
  /** Empty for bytes that the pack does not need: other models' tensors, headers, padding. They are still part of the file's hash. */
  rows: PieceRows[];
}

/** About so many bytes make a piece; a tensor whose rows are stored in another order is always one piece. */
const PIECE_BYTES = 4 << 20;

/**
 * Cuts weight file number `file` of a source into pieces that follow each other from its first byte to its last.
 * Throws `ModelError` when tensors overlap or lie outside the file.
 */
export function planPieces(source: Source, layout: PackLayout, file: number, size: number): Piece[] {
  const wanted = tensorGroups(source.config)
    .flatMap((group) => group.tensors)
    .map((tensor) => ({ tensor, place: source.place(tensor.name) }))
    .filter(({ place }) => place.file === file)
    .sort((a, b) => a.place.offset - b.place.offset);
  const pieces: Piece[] = [];
  let position = 0;
  for (const { tensor, place } of wanted) {
    if (place.offset < position) throw new ModelError(`The tensor ${tensor.name} overlaps another in its file, which is damaged.`);
    pieces.push(...gap(position, place.offset));
    const { parts } = layout.tensors[tensor.name]!;
    if (place.inOrder) pieces.push(...slices(tensor, parts, place.offset, place.bytes / tensor.shape[0]));
    else
      pieces.push({
        start: place.offset,
        end: place.offset + place.bytes,
        rows: parts.map((part) => ({ tensor, part, row: part.row, rows: part.rows })),
      });
    position = place.offset + place.bytes;
  }
  if (position > size) throw new ModelError(`A weight file is truncated: it has ${size} bytes, and ${position} are needed.`);
  return [...pieces, ...gap(position, size)];
}

function gap(start: number, end: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = start; at < end; at += PIECE_BYTES) pieces.push({ start: at, end: Math.min(end, at + PIECE_BYTES), rows: [] });
  return pieces;
}

/** A matrix, some rows at a time: whole row groups of one pack file each. */
function slices(tensor: TensorShape, parts: PackTensor['parts'], offset: number, rowBytes: number): Piece[] {
  const step = Math.max(PART_ROWS, Math.floor(PIECE_BYTES / rowBytes / PART_ROWS) * PART_ROWS);
  const pieces: Piece[] = [];
  for (const part of parts) {
    for (let row = part.row; row < part.row + part.rows; row += step) {
      const rows = Math.min(step, part.row + part.rows - row);
      pieces.push({ start: offset + row * rowBytes, end: offset + (row + rows) * rowBytes, rows: [{ tensor, part, row, rows }] });
    }
  }
  return pieces;
}
