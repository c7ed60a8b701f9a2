import { ModelError } from '../../model-error.ts';
import { openFile, type RandomAccessFile } from '../file.ts';
import { isStoredType, storedLayout } from '../stored-types.ts';
import type { StoredTensor, TensorStore } from '../tensor-store.ts';
import { GgufCursor, type GgufValue } from './cursor.ts';

/** Names of ggml's type numbers: `enum ggml_type` in ggml.h. */
const TYPE_NAMES: Record<number, string> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  15: 'Q8_K',
  30: 'BF16',
};

export interface GgufStore extends TensorStore {
  metadata: Map<string, GgufValue>;
}

const MAGIC = 0x46554747;
const VERSION = 3;
/** Of tensors, and of metadata. Large models have some thousand. */
const MAX_ENTRIES = 1 << 18;

/** Opens a GGUF file. Format: docs/gguf.md in https://github.com/ggml-org/ggml. Throws `ModelError` when it is none, of another version, or truncated. */
export const openGguf = async (path: string): Promise<GgufStore> => readGguf(await openFile(path));

/** As `openGguf`, from an open file, which is closed with the store. */
export async function readGguf(file: RandomAccessFile): Promise<GgufStore> {
  try {
    const { metadata, tensors } = await readHeader(file);
    return {
      metadata,
      tensors,
      read: (tensor, offset, length) => file.read(tensor.offset + offset, length),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: RandomAccessFile): Promise<{ metadata: Map<string, GgufValue>; tensors: Map<string, StoredTensor> }> {
  const cursor = new GgufCursor(file);
  if (file.size < 4 || (await cursor.u32()) !== MAGIC) throw new ModelError(`${file.name} is not a GGUF file.`);
  const version = await cursor.u32();
  if (version !== VERSION) throw new ModelError(`${file.name} is GGUF version ${version}, and only version ${VERSION} is supported.`);
  const tensorCount = await cursor.count();
  const metadataCount = await cursor.count();
  for (const count of [tensorCount, metadataCount])
    if (count > MAX_ENTRIES) throw new ModelError(`${file.name} is damaged: its header has ${count} entries.`);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) metadata.set(await cursor.string(), await cursor.value(await cursor.u32()));
  const tensors: StoredTensor[] = [];
  for (let i = 0; i < tensorCount; i++) tensors.push(await readTensorInfo(cursor));
  const alignment = Number(metadata.get('general.alignment') ?? 32);
  if (!Number.isInteger(alignment) || alignment < 1)
    throw new ModelError(`${file.name} is damaged: its general.alignment is ${alignment}.`);
  const data = Math.ceil(cursor.position / alignment) * alignment;
  for (const tensor of tensors) {
    tensor.offset += data;
    checkEnd(file, tensor);
  }
  return { metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
}

/** Name, dimensions (innermost first), type and offset within the data. */
async function readTensorInfo(cursor: GgufCursor): Promise<StoredTensor> {
  const name = await cursor.string();
  const dimensions = await cursor.u32();
  if (dimensions > 4) throw new ModelError(`The file is damaged: the tensor ${name} has ${dimensions} dimensions.`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(await cursor.count());
  const type = await cursor.u32();
  return { name, shape, type: TYPE_NAMES[type] ?? `number ${type}`, offset: await cursor.count(), file: 0 };
}

function checkEnd(file: RandomAccessFile, { name, shape, type, offset }: StoredTensor): void {
  if (!isStoredType(type)) return;
  const layout = storedLayout(type);
  const end = offset + (shape.reduce((product, size) => product * size, 1) / layout.block) * layout.bytes;
  if (end > file.size) throw new ModelError(`${file.name} is truncated: ${name} ends at byte ${end}, and the file has ${file.size}.`);
}
