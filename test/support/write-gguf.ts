import { writeFileSync } from 'node:fs';

export type GgufMetadata = Record<string, string | number | boolean | string[] | number[]>;

export interface GgufTensor {
  name: string;
  /** Outermost dimension first; written innermost first. */
  shape: number[];
  /** ggml's type number. */
  type: number;
  data: Uint8Array;
}

const ALIGNMENT = 32;

/** Writes a small GGUF v3 file. Whole numbers become uint32, others float32. */
export function writeGguf(path: string, metadata: GgufMetadata, tensors: GgufTensor[]): void {
  const parts: Buffer[] = [];
  const u32 = (value: number) => parts.push(Buffer.from(Uint32Array.of(value).buffer));
  const u64 = (value: number) => parts.push(Buffer.from(BigUint64Array.of(BigInt(value)).buffer));
  const text = (value: string) => {
    u64(Buffer.byteLength(value));
    parts.push(Buffer.from(value));
  };
  const typeOf = (value: GgufMetadata[string]) =>
    typeof value === 'string' ? 8 : typeof value === 'boolean' ? 7 : Array.isArray(value) ? 9 : Number.isInteger(value) ? 4 : 6;
  const write = (value: GgufMetadata[string]) => {
    if (typeof value === 'string') text(value);
    else if (typeof value === 'boolean') parts.push(Buffer.from([value ? 1 : 0]));
    else if (Array.isArray(value)) {
      u32(typeOf(value[0] ?? 0));
      u64(value.length);
      value.forEach(write);
    } else if (Number.isInteger(value)) u32(value);
    else parts.push(Buffer.from(Float32Array.of(value).buffer));
  };
  parts.push(Buffer.from('GGUF'));
  u32(3);
  u64(tensors.length);
  u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    text(key);
    u32(typeOf(value));
    write(value);
  }
  let offset = 0;
  for (const { name, shape, type, data } of tensors) {
    text(name);
    u32(shape.length);
    for (const size of shape.toReversed()) u64(size);
    u32(type);
    u64(offset);
    offset = align(offset + data.length);
  }
  const header = Buffer.concat(parts);
  const padded = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(align(bytes.length) - bytes.length)]);
  writeFileSync(path, Buffer.concat([padded(header), ...tensors.map(({ data }) => padded(data))]));
}

const align = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
