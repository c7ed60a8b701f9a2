import { type FileHandle, open } from 'node:fs/promises';
import type { HubFile } from '../hub/hub.ts';
import { ModelError } from '../model-error.ts';
import { type PackLayout, packedBytes } from '../pack/layout.ts';
import { packedRows } from '../pack/writer.ts';
import type { Source } from '../sources/source.ts';
import type { ArrivingFile } from './arriving-file.ts';
import { ByteReader } from './byte-reader.ts';
import type { PartialFolder } from './partial-folder.ts';
import { type Piece, type PieceRows, planPieces } from './pieces.ts';
import type { PlacedWriter } from './placed-writer.ts';
import { PublishedHash } from './published-hash.ts';

export interface PackArrivingOptions {
  source: Source;
  layout: PackLayout;
  writer: PlacedWriter;
  partial: PartialFolder;
  /** Where to keep the file itself as it passes; null to keep nothing. */
  keepPath: string | null;
  /** How much is taken in between two records of progress, and so taken in again after a kill. */
  recordBytes: number;
  signal?: AbortSignal;
}

/**
 * Takes one weight file in from front to back: hashes it, packs what the model needs, records how far it came. Goes on where an earlier run was killed.
 * Throws `ModelError` when the file's hash is not the published one; its progress is then forgotten, because nobody knows which bytes were wrong.
 * @param index the file's number in the source
 */
export async function packArriving(published: HubFile, arriving: ArrivingFile, index: number, options: PackArrivingOptions): Promise<void> {
  const { source, layout, partial, keepPath, recordBytes, signal } = options;
  const found = partial.progress(published.path);
  const head = arriving.headSha256;
  const before = found?.head === head ? found : null;
  const hash = await PublishedHash.start(published, before ? Buffer.from(before.hash, 'base64') : undefined);
  const from = before?.position ?? 0;
  const pieces = planPieces(source, layout, index, published.size).filter((piece) => piece.end > from);
  const reader = new ByteReader(arriving.stream(from));
  const keep = keepPath === null ? null : await open(keepPath, 'r+').catch(() => open(keepPath, 'w+'));
  let recorded = from;
  try {
    for (const piece of pieces) {
      const bytes = await reader.take(piece.end - piece.start);
      hash.update(bytes);
      await keepBytes(keep, piece.start, bytes);
      await packPiece(piece, bytes, arriving, options);
      signal?.throwIfAborted();
      if (piece.end - recorded >= recordBytes || piece.end === published.size) {
        await Promise.all([options.writer.sync(), keep?.datasync()]);
        await partial.setProgress(published.path, { position: piece.end, hash: Buffer.from(hash.save()).toString('base64'), head });
        recorded = piece.end;
      }
    }
  } finally {
    await reader.close();
    await keep?.close();
  }
  const problem = hash.problem();
  if (problem === null) return;
  await arriving.forget();
  await partial.setProgress(published.path, null);
  throw new ModelError(`${published.path} is damaged: ${problem}. Run the same command again to download it anew.`);
}

async function keepBytes(file: FileHandle | null, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; file && done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

async function packPiece(piece: Piece, bytes: Uint8Array, arriving: ArrivingFile, options: PackArrivingOptions): Promise<void> {
  if (piece.rows.length === 0) return;
  arriving.show(piece.start, bytes);
  for (const rows of piece.rows) await packRows(rows, options);
}

async function packRows({ tensor, part, row, rows }: PieceRows, { source, layout, writer }: PackArrivingOptions): Promise<void> {
  const { type } = layout.tensors[tensor.name]!;
  let at = part.offset + (row === part.row ? 0 : packedBytes(tensor, type, row - part.row));
  for await (const chunk of packedRows(source, tensor, type, row, rows)) {
    await writer.write(part.file, at, chunk);
    at += chunk.length;
  }
}
