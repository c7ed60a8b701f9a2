import { halfToFloat } from '../half.ts';
import { dequantizeQ4K, dequantizeQ5K, dequantizeQ6K } from './gguf/k-quants.ts';

/** Writes the floats of `bytes`, which holds whole blocks, to `out` from index 0. */
export type Dequantize = (bytes: Uint8Array, out: Float32Array) => void;

/** How a stored type lays out its values: `block` consecutive values of a row in `bytes` bytes. */
interface StoredLayout {
  block: number;
  bytes: number;
  dequantize: Dequantize;
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Formats and their arithmetic: ggml's `ggml-quants.c`; the k-quants are in `gguf/k-quants.ts`. */
const LAYOUTS = {
  F32: {
    block: 1,
    bytes: 4,
    dequantize: (bytes, out) => new Uint8Array(out.buffer, out.byteOffset, bytes.byteLength).set(bytes),
  },
  F16: {
    block: 1,
    bytes: 2,
    dequantize(bytes, out) {
      for (let i = 0; i * 2 < bytes.length; i++) out[i] = halfToFloat(bytes[2 * i]! | (bytes[2 * i + 1]! << 8));
    },
  },
  BF16: {
    block: 1,
    bytes: 2,
    dequantize(bytes, out) {
      const bits = new Uint32Array(out.buffer, out.byteOffset, bytes.length / 2);
      for (let i = 0; i < bits.length; i++) bits[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
    },
  },
  Q8_0: {
    block: 32,
    bytes: 34,
    dequantize(bytes, out) {
      const data = view(bytes);
      for (let at = 0, o = 0; at < bytes.length; at += 34, o += 32) {
        const scale = halfToFloat(data.getUint16(at, true));
        for (let i = 0; i < 32; i++) out[o + i] = scale * data.getInt8(at + 2 + i);
      }
    },
  },
  Q4_0: {
    block: 32,
    bytes: 18,
    dequantize(bytes, out) {
      for (let at = 0, o = 0; at < bytes.length; at += 18, o += 32) {
        const scale = halfToFloat(bytes[at]! | (bytes[at + 1]! << 8));
        for (let i = 0; i < 16; i++) {
          const pair = bytes[at + 2 + i]!;
          out[o + i] = scale * ((pair & 15) - 8);
          out[o + i + 16] = scale * ((pair >> 4) - 8);
        }
      }
    },
  },
  Q4_1: {
    block: 32,
    bytes: 20,
    dequantize(bytes, out) {
      const data = view(bytes);
      for (let at = 0, o = 0; at < bytes.length; at += 20, o += 32) {
        const scale = halfToFloat(data.getUint16(at, true));
        const min = halfToFloat(data.getUint16(at + 2, true));
        for (let i = 0; i < 16; i++) {
          const pair = bytes[at + 4 + i]!;
          out[o + i] = scale * (pair & 15) + min;
          out[o + i + 16] = scale * (pair >> 4) + min;
        }
      }
    },
  },
  Q4_K: { block: 256, bytes: 144, dequantize: dequantizeQ4K },
  Q5_K: { block: 256, bytes: 176, dequantize: dequantizeQ5K },
  Q6_K: { block: 256, bytes: 210, dequantize: dequantizeQ6K },
} satisfies Record<string, StoredLayout>;

export type StoredType = keyof typeof LAYOUTS;

/** The types that sources read. */
export const STORED_TYPES = Object.keys(LAYOUTS) as StoredType[];

export const isStoredType = (type: string): type is StoredType => Object.hasOwn(LAYOUTS, type);

/** Values per block and bytes per block of a stored type. */
export const storedLayout = (type: StoredType): StoredLayout => LAYOUTS[type];

/** The values of whole blocks as floats. `bytes.length` must be a multiple of the type's block size. */
export function dequantizeBytes(type: StoredType, bytes: Uint8Array): Float32Array {
  const layout = LAYOUTS[type];
  const out = new Float32Array((bytes.length / layout.bytes) * layout.block);
  layout.dequantize(bytes, out);
  return out;
}
