import { createHash } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ModelError } from '../model-error.ts';
import type { Source, TensorRows } from '../sources/source.ts';
import { type TensorShape, tensorGroups } from '../tensors.ts';
import { checksum } from './checksum.ts';
import type { Importance } from './importance.ts';
import { type PackLayout, planLayout, typesFor } from './layout.ts';
import { type Manifest, PART_ROWS, type PackFile, type WeightType } from './manifest.ts';
import { quantizeQ4, quantizeQ8 } from './quantize.ts';
import { quantizeQ4Weighted } from './quantize-weighted.ts';
import { tileBlocks, tileFloats } from './tiles.ts';

/** The manifest without what the writer finds out itself. */
export type PackDescription = Omit<Manifest, 'format' | 'version' | 'files' | 'tensors' | 'tokenizer' | 'config'>;

export interface WriteOptions {
  /** Content of `tokenizer.bin`, or null. */
  tokenizer: Uint8Array | null;
  /** Called after every chunk with the bytes of weight files done and to do. */
  onProgress?: (done: number, total: number) => void;
  /** Largest file, for hosts that take less than the default of 24 MiB. */
  maxFileBytes?: number;
  /** What the columns of matrices are multiplied with: q4_0 is then chosen for the products' sake, and not for the weights' alone. */
  importance?: Importance;
  /** Aborting removes what was written and throws the signal's reason. */
  signal?: AbortSignal;
}

/** About as many values are read and converted at a time: some 8 MB as floats. */
const CHUNK_VALUES = 2 * 1024 * 1024;

/**
 * Writes `source` as a pack into the new folder `out`, and answers its manifest. One weight file (24 MiB at most) is in memory at a time. Everything is written
 * to `out.partial`, which is renamed at the end, so that an interrupted pack never looks finished. Throws `ModelError` when `out` exists or the source fails.
 */
export async function writePack(source: Source, out: string, description: PackDescription, options: WriteOptions): Promise<Manifest> {
  const folder = resolve(out);
  await requireAbsent(out);
  const layout = planLayout(source.config, description.quantization, options.maxFileBytes, typesFor(source, description.quantization));
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    const writeOne = async (name: string, bytes: Uint8Array): Promise<PackFile> => {
      await writeFile(join(partial, name), bytes);
      return describeFile(name, bytes);
    };
    const tokenizer = options.tokenizer && (await writeOne('tokenizer.bin', options.tokenizer));
    const files: PackFile[] = [];
    for await (const { name, bytes } of weightFiles(source, layout, options)) files.push(await writeOne(name, bytes));
    const manifest = assembleManifest(source.config, description, layout, files, tokenizer);
    await writeFile(join(partial, 'manifest.json'), formatManifest(manifest));
    await rename(partial, folder);
    return manifest;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/** Throws `ModelError` when there is something at `out`. */
export async function requireAbsent(out: string): Promise<void> {
  if (await stat(out).catch(() => null)) throw new ModelError(`${out} exists already; remove it or choose another folder.`);
}

/** A finished file's line in the manifest. */
export const describeFile = (name: string, bytes: Uint8Array): PackFile => ({
  name,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
  checksum: checksum(bytes),
});

/** The manifest of a pack whose files are all there. */
export const assembleManifest = (
  config: Manifest['config'],
  description: PackDescription,
  layout: PackLayout,
  files: PackFile[],
  tokenizer: PackFile | null,
): Manifest => ({ format: 'nearside-pack', version: 1, ...description, config, tokenizer, files, tensors: layout.tensors });

/** The text of `manifest.json`. */
export const formatManifest = (manifest: Manifest): string => `${JSON.stringify(manifest, null, 1)}\n`;

async function* weightFiles(source: Source, layout: PackLayout, options: WriteOptions) {
  const total = layout.files.reduce((sum, file) => sum + file.bytes, 0);
  let before = 0;
  for (const [index, file] of layout.files.entries()) {
    const onProgress = (done: number) => {
      options.signal?.throwIfAborted();
      options.onProgress?.(before + done, total);
    };
    yield { name: file.name, bytes: await packFile(source, layout, index, { importance: options.importance, onProgress }) };
    before += file.bytes;
  }
}

/** The content of weight file number `index` of a layout. `onProgress` is told how many of its bytes are there. */
export async function packFile(
  source: Source,
  layout: PackLayout,
  index: number,
  { importance, onProgress }: { importance?: Importance; onProgress?: (done: number) => void } = {},
): Promise<Uint8Array> {
  const bytes = new Uint8Array(layout.files[index]!.bytes);
  for (const tensor of tensorGroups(source.config).flatMap((group) => group.tensors)) {
    const { type, parts } = layout.tensors[tensor.name]!;
    for (const part of parts) {
      if (part.file !== index) continue;
      let at = part.offset;
      for await (const chunk of packedRows(source, tensor, type, part.row, part.rows, importance?.get(tensor.name))) {
        bytes.set(chunk, at);
        at += chunk.length;
        onProgress?.(at);
      }
      if (at !== part.offset + part.bytes) throw new Error(`${tensor.name}: ${at - part.offset} bytes were packed, ${part.bytes} planned.`);
    }
  }
  return bytes;
}

/**
 * Rows `first` to `first + count - 1` as they lie in the pack, a few at a time: chunks end at whole row groups, so they can be laid end to end when `first`
 * is a multiple of 8. @param columnWeights mean square of what each column is multiplied with, when known
 */
export async function* packedRows(
  source: Source,
  tensor: TensorShape,
  type: WeightType,
  first: number,
  count: number,
  columnWeights?: Float32Array,
): AsyncGenerator<Uint8Array> {
  if (tensor.storage === 'plain') {
    const rows = await source.read(tensor.name, first, count);
    if (rows.type !== 'f32') throw new Error(`${tensor.name} must be read as floats.`);
    yield bytesOf(rows.values);
    return;
  }
  const columns = tensor.shape.at(-1)!;
  const step = Math.max(PART_ROWS, Math.floor(CHUNK_VALUES / columns / PART_ROWS) * PART_ROWS);
  for (let row = first; row < first + count; row += step) {
    const rows = Math.min(step, first + count - row);
    yield pack(await source.read(tensor.name, row, rows, type === 'f32' ? undefined : type), type, rows, columns, columnWeights);
  }
}

function pack(data: TensorRows, type: WeightType, rows: number, columns: number, columnWeights?: Float32Array): Uint8Array {
  if (data.type !== 'f32') return tileBlocks(data.type, data.blocks, rows, columns);
  if (type === 'f32') return bytesOf(tileFloats(data.values, rows, columns));
  if (type === 'q8_0') return tileBlocks(type, quantizeQ8(data.values), rows, columns);
  return tileBlocks(type, columnWeights ? quantizeQ4Weighted(data.values, columnWeights) : quantizeQ4(data.values), rows, columns);
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
