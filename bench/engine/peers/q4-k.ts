import { closeSync, copyFileSync, existsSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { floatToHalf, halfToFloat } from '../../../models/half.ts';
import { BENCH_CACHE } from '../workerd.ts';

/** GGUF type numbers. */
const Q4_0 = 2;
const Q4_K = 12;
/** Bytes of 256 weights, in both types. */
const BLOCK = 144;
const CHUNK = BLOCK * 65536;
const HEADER = 32 * 1024 * 1024;

/**
 * A copy of a q4_0 GGUF with its matrices as Q4_K, to measure how fast a peer is with that type: the same bytes per weight, so every tensor keeps its place.
 * The values are the same where all scales are, as in a file of random weights; otherwise they are rounded to 1/63 of the largest, without its sign.
 * @returns path of the copy, made once
 */
export function asQ4K(gguf: string): string {
  const copy = join(BENCH_CACHE, `${basename(gguf, '.gguf')}.q4_k.gguf`);
  if (existsSync(copy)) return copy;
  process.stderr.write('Storing the weights as Q4_K, this once\n');
  copyFileSync(gguf, `${copy}.part`);
  const file = openSync(`${copy}.part`, 'r+');
  const header = Buffer.alloc(HEADER);
  readSync(file, header, 0, HEADER, 0);
  const { tensors, dataStart } = readTensors(header);
  for (const { typeAt, type, offset, weights, columns } of tensors) {
    if (type !== Q4_0 || columns % 256 !== 0) continue;
    header.writeUInt32LE(Q4_K, typeAt);
    convert(file, dataStart + offset, (weights / 256) * BLOCK);
  }
  writeSync(file, header, 0, dataStart, 0);
  closeSync(file);
  renameSync(`${copy}.part`, copy);
  return copy;
}

interface Tensor {
  typeAt: number;
  type: number;
  offset: number;
  weights: number;
  columns: number;
}

/** Tensor records of a GGUF v3 header, and where the data begins. */
function readTensors(header: Buffer): { tensors: Tensor[]; dataStart: number } {
  let at = 8;
  let alignment = 32;
  const take = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const u32 = () => header.readUInt32LE(take(4));
  const u64 = () => Number(header.readBigUInt64LE(take(8)));
  const text = () => {
    const length = u64();
    const from = take(length);
    return header.toString('utf8', from, from + length);
  };
  // Sizes of the metadata types 0 to 12; 8 is a string, 9 an array.
  const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  const skip = (type: number): void => {
    if (type === 8) text();
    else if (type === 9) for (let of = u32(), count = u64(); count > 0; count--) skip(of);
    else take(sizes[type]!);
  };
  const tensorCount = u64();
  for (let entries = u64(); entries > 0; entries--) {
    const key = text();
    const type = u32();
    if (key === 'general.alignment') alignment = header.readUInt32LE(at);
    skip(type);
  }
  const tensors: Tensor[] = [];
  for (let i = 0; i < tensorCount; i++) {
    text();
    const shape = Array.from({ length: u32() }, u64);
    const typeAt = at;
    const type = u32();
    tensors.push({ typeAt, type, offset: u64(), weights: shape.reduce((a, b) => a * b, 1), columns: shape[0]! });
  }
  return { tensors, dataStart: Math.ceil(at / alignment) * alignment };
}

/** Converts blocks of 8 x 18 bytes (q4_0) to blocks of 144 bytes (Q4_K) in place. */
function convert(file: number, start: number, bytes: number): void {
  const chunk = Buffer.alloc(CHUNK);
  const block = Buffer.alloc(BLOCK);
  for (let done = 0; done < bytes; done += CHUNK) {
    const length = readSync(file, chunk, 0, Math.min(CHUNK, bytes - done), start + done);
    for (let at = 0; at < length; at += BLOCK) {
      writeBlock(chunk.subarray(at, at + BLOCK), block);
      block.copy(chunk, at);
    }
    writeSync(file, chunk, 0, length, start + done);
  }
}

/**
 * 256 weights. q4_0: value = d (q - 8), nibbles j and j + 16 in byte j. Q4_K: value = D s q - M m, with D and M in fp16, 8 scales s and minimums m of 6 bits, and
 * nibbles of sub-blocks 2 i and 2 i + 1 in the low and high halves of bytes 32 i to 32 i + 31. So s = m, and M = 8 D.
 */
function writeBlock(from: Buffer, to: Buffer): void {
  const scales = Array.from({ length: 8 }, (_, i) => halfToFloat(from.readUInt16LE(i * 18)));
  const unit = Math.max(...scales.map(Math.abs)) / 63;
  to.fill(0);
  to.writeUInt16LE(floatToHalf(unit), 0);
  to.writeUInt16LE(floatToHalf(8 * unit), 2);
  for (const [i, scale] of scales.entries()) {
    const six = unit === 0 ? 0 : Math.round(Math.abs(scale) / unit);
    packScale(to.subarray(4, 16), i, six);
    for (let j = 0; j < 32; j++) {
      const byte = from[i * 18 + 2 + (j & 15)]!;
      const nibble = j < 16 ? byte & 15 : byte >> 4;
      to[16 + 32 * (i >> 1) + j]! |= nibble << (i & 1 ? 4 : 0);
    }
  }
}

/** Scale and minimum i, both `six`, in Q4_K's 12 bytes: the first four in the low 6 bits, the others split over nibbles and the high 2 bits. */
function packScale(bytes: Buffer, i: number, six: number): void {
  if (i < 4) {
    bytes[i]! |= six;
    bytes[i + 4]! |= six;
  } else {
    bytes[i + 4] = (six & 15) | ((six & 15) << 4);
    bytes[i - 4]! |= (six >> 4) << 6;
    bytes[i]! |= (six >> 4) << 6;
  }
}
