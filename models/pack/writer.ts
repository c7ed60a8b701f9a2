import { createHash } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ModelError } from '../model-error.ts';
import type { Source, TensorRows } from '../sources/source.ts';
import { type TensorShape, tensorGroups } from '../tensors.ts';
import { checksum } from './checksum.ts';
import { type PackLayout, packedType, planLayout } from './layout.ts';
import { type Manifest, PART_ROWS, type PackFile, type WeightType } from './manifest.ts';
import { quantizeQ4, quantizeQ8 } from './quantize.ts';
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
  if (await stat(folder).catch(() => null)) throw new ModelError(`${out} exists already; remove it or choose another folder.`);
  const layout = planLayout(source.config, description.quantization, options.maxFileBytes);
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
    for await (const { name, bytes } of weightFiles(source, layout, description.quantization, options))
      files.push(await writeOne(name, bytes));
    const manifest = assembleManifest(source.config, description, layout, files, tokenizer);
    await writeFile(join(partial, 'manifest.json'), formatManifest(manifest));
    await rename(partial, folder);
    return manifest;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
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

async function* weightFiles(source: Source, layout: PackLayout, quantization: WeightType, options: WriteOptions) {
  const shapes = tensorGroups(source.config).flatMap((group) => group.tensors);
  const total = layout.files.reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  for (const [index, file] of layout.files.entries()) {
    const bytes = new Uint8Array(file.bytes);
    const before = done;
    for (const tensor of shapes) {
      for (const part of layout.tensors[tensor.name]!.parts) {
        if (part.file !== index) continue;
        let at = part.offset;
        for await (const chunk of packedRows(source, tensor, quantization, part.row, part.rows)) {
          options.signal?.throwIfAborted();
          bytes.set(chunk, at);
          at += chunk.length;
          options.onProgress?.(before + at, total);
        }
        if (at !== part.offset + part.bytes)
          throw new Error(`${tensor.name}: ${at - part.offset} bytes were packed, ${part.bytes} planned.`);
      }
    }
    done = before + file.bytes;
    yield { name: file.name, bytes };
  }
}

/**
 * Rows `first` to `first + count - 1` as they lie in the pack, a few at a time: chunks end at whole row groups, so they can be laid end to end when `first`
 * is a multiple of 8.
 */
export async function* packedRows(
  source: Source,
  tensor: TensorShape,
  quantization: WeightType,
  first: number,
  count: number,
): AsyncGenerator<Uint8Array> {
  if (tensor.storage === 'plain') {
    const rows = await source.read(tensor.name, first, count);
    if (rows.type !== 'f32') throw new Error(`${tensor.name} must be read as floats.`);
    yield bytesOf(rows.values);
    return;
  }
  const type = packedType(tensor, quantization);
  const columns = tensor.shape.at(-1)!;
  const step = Math.max(PART_ROWS, Math.floor(CHUNK_VALUES / columns / PART_ROWS) * PART_ROWS);
  for (let row = first; row < first + count; row += step) {
    const rows = Math.min(step, first + count - row);
    yield pack(await source.read(tensor.name, row, rows, type === 'f32' ? undefined : type), type, rows, columns);
  }
}

function pack(data: TensorRows, type: WeightType, rows: number, columns: number): Uint8Array {
  if (data.type !== 'f32') return tileBlocks(data.type, data.blocks, rows, columns);
  if (type === 'f32') return bytesOf(tileFloats(data.values, rows, columns));
  return tileBlocks(type, type === 'q4_0' ? quantizeQ4(data.values) : quantizeQ8(data.values), rows, columns);
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
