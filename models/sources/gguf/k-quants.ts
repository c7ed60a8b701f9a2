import { halfToFloat } from '../../half.ts';

/*
 * ggml's "k-quants": super-blocks of 256 values in sub-blocks with scales of their own. Layouts and arithmetic: `dequantize_row_q4_K`, `_q5_K` and `_q6_K`
 * in ggml-quants.c.
 */

const half = (bytes: Uint8Array, at: number): number => halfToFloat(bytes[at]! | (bytes[at + 1]! << 8));

/** The 6-bit scale and minimum of sub-block `j` of 8, unpacked from the 12 bytes at `at`. */
function scaleAndMin(bytes: Uint8Array, at: number, j: number): [scale: number, min: number] {
  if (j < 4) return [bytes[at + j]! & 63, bytes[at + j + 4]! & 63];
  const low = bytes[at + j + 4]!;
  return [(low & 15) | ((bytes[at + j - 4]! >> 6) << 4), (low >> 4) | ((bytes[at + j]! >> 6) << 4)];
}

/** 144 bytes: fp16 scale of scales, fp16 scale of minima, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles. */
export function dequantizeQ4K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 144) {
    const d = half(bytes, at);
    const dmin = half(bytes, at + 2);
    for (let j = 0; j < 8; j++, o += 32) {
      const [scale, min] = scaleAndMin(bytes, at + 4, j);
      const quants = at + 16 + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let i = 0; i < 32; i++) out[o + i] = d * scale * ((bytes[quants + i]! >> shift) & 15) - dmin * min;
    }
  }
}

/** 176 bytes: as q4_K, with 32 bytes of fifth bits (bit j of byte i belongs to value i of sub-block j) before the nibbles. */
export function dequantizeQ5K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 176) {
    const d = half(bytes, at);
    const dmin = half(bytes, at + 2);
    for (let j = 0; j < 8; j++, o += 32) {
      const [scale, min] = scaleAndMin(bytes, at + 4, j);
      const high = at + 16;
      const quants = at + 48 + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const quant = ((bytes[quants + i]! >> shift) & 15) | (((bytes[high + i]! >> j) & 1) << 4);
        out[o + i] = d * scale * quant - dmin * min;
      }
    }
  }
}

/** 210 bytes: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, fp16 scale of scales. Sub-blocks of 16. */
export function dequantizeQ6K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 210) {
    const d = half(bytes, at + 208);
    for (let part = 0; part < 2; part++) {
      const low = at + part * 64;
      const high = at + 128 + part * 32;
      const scales = at + 192 + part * 8;
      for (let quarter = 0; quarter < 4; quarter++, o += 32) {
        const nibbles = low + (quarter & 1) * 32;
        const nibbleShift = (quarter >> 1) * 4;
        for (let i = 0; i < 32; i++) {
          const scale = (bytes[scales + quarter * 2 + (i >> 4)]! << 24) >> 24;
          const quant = ((bytes[nibbles + i]! >> nibbleShift) & 15) | (((bytes[high + i]! >> (quarter * 2)) & 3) << 4);
          out[o + i] = d * scale * (quant - 32);
        }
      }
    }
  }
}
