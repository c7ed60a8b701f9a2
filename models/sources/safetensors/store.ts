import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../model-error.ts';
import { openFile, type RandomAccessFile } from '../file.ts';
import type { StoredTensor, TensorStore } from '../tensor-store.ts';

/** Format: https://huggingface.co/docs/safetensors (8-byte header length, JSON header, data). */
const headerSchema = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z.array(z.number().int().nonnegative()),
    data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
  }),
);
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

const MAX_HEADER_BYTES = 100_000_000;

/** The tensors of a folder's safetensors files: those that `model.safetensors.index.json` lists, else `model.safetensors`. Throws `ModelError`. */
export async function openSafetensors(folder: string): Promise<TensorStore> {
  const files: RandomAccessFile[] = [];
  try {
    for (const name of await fileNames(folder)) files.push(await openFile(join(folder, name)));
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
  return readSafetensors(files);
}

/** The tensors of open safetensors files, which are closed with the store. Throws `ModelError`. */
export async function readSafetensors(files: RandomAccessFile[]): Promise<TensorStore> {
  const tensors = new Map<string, StoredTensor>();
  try {
    for (const [i, file] of files.entries()) for (const tensor of await readHeader(file, i)) tensors.set(tensor.name, tensor);
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
  return {
    tensors,
    read: (tensor, offset, length) => files[tensor.file]!.read(tensor.offset + offset, length),
    async close() {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

async function fileNames(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, 'model.safetensors.index.json'), 'utf8').catch(() => null);
  if (text === null) return ['model.safetensors'];
  return [...new Set(Object.values(readWeightMap(text)))];
}

/** Tensor name -> file name, from the text of `model.safetensors.index.json`. Throws `ModelError`. */
export function readWeightMap(text: string): Record<string, string> {
  const index = indexSchema.safeParse(parseJson(text));
  if (!index.success) throw new ModelError('model.safetensors.index.json is not a safetensors index with a weight_map.');
  return index.data.weight_map;
}

async function readHeader(file: RandomAccessFile, fileIndex: number): Promise<StoredTensor[]> {
  const length = Number(new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) throw new ModelError(`${file.name} is not a safetensors file.`);
  const parsed = parseJson(new TextDecoder().decode(await file.read(8, length)));
  if (typeof parsed === 'object' && parsed) delete (parsed as Record<string, unknown>).__metadata__;
  const header = headerSchema.safeParse(parsed);
  if (!header.success) throw new ModelError(`${file.name} is not a safetensors file.`);
  const tensors = Object.entries(header.data).map(([name, { dtype, shape, data_offsets }]) => {
    const end = 8 + length + data_offsets[1];
    if (end > file.size) throw new ModelError(`${file.name} is truncated: ${name} ends at byte ${end}, and the file has ${file.size}.`);
    checkSize(file.name, name, dtype, shape, data_offsets[1] - data_offsets[0]);
    return { name, type: dtype, shape, offset: 8 + length + data_offsets[0], file: fileIndex };
  });
  return tensors;
}

const WIDTHS: Record<string, number> = { F32: 4, F16: 2, BF16: 2 };

function checkSize(file: string, name: string, dtype: string, shape: number[], bytes: number): void {
  const width = WIDTHS[dtype];
  const expected = shape.reduce((product, size) => product * size, 1) * (width ?? 0);
  if (width && bytes !== expected) throw new ModelError(`${file} is damaged: ${name} should have ${expected} bytes and has ${bytes}.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
