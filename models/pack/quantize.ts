import { floatToHalf } from '../half.ts';
import { ModelError } from '../model-error.ts';

const BLOCK = 32;
const { fround } = Math;

/**
 * Quantizes rows whose length is a multiple of 32 to ggml's q8_0 blocks (fp16 scale d, 32 int8): d = max|x| / 127, q = x / d rounded half away from zero.
 * Throws `ModelError` for weights that are not finite, as does quantizeQ4.
 * Source: `quantize_row_q8_0_ref` in ggml-quants.c; every step in float32, as there.
 */
export function quantizeQ8(values: Float32Array): Uint8Array {
  const blocks = new Uint8Array((values.length / BLOCK) * 34);
  for (let at = 0, from = 0; from < values.length; at += 34, from += BLOCK) {
    let max = 0;
    for (let i = 0; i < BLOCK; i++) max = Math.max(max, Math.abs(values[from + i]!));
    const scale = fround(max / 127);
    const inverse = scale ? fround(1 / scale) : 0;
    writeHalf(blocks, at, scale);
    for (let i = 0; i < BLOCK; i++) {
      const scaled = fround(values[from + i]! * inverse);
      blocks[at + 2 + i] = scaled < 0 ? -Math.floor(0.5 - scaled) : Math.floor(scaled + 0.5);
    }
  }
  return blocks;
}

/**
 * Quantizes rows whose length is a multiple of 32 to ggml's q4_0 blocks (fp16 scale d, 16 bytes of nibbles: value i low, value i + 16 high): d = the value of
 * largest magnitude / -8, q = min(15, trunc(x / d + 8.5)). Source: `quantize_row_q4_0_ref` in ggml-quants.c; every step in float32, as there.
 */
export function quantizeQ4(values: Float32Array): Uint8Array {
  const blocks = new Uint8Array((values.length / BLOCK) * 18);
  for (let at = 0, from = 0; from < values.length; at += 18, from += BLOCK) {
    let largest = 0;
    for (let i = 0; i < BLOCK; i++) {
      const value = values[from + i]!;
      if (Math.abs(value) > Math.abs(largest) || Number.isNaN(value)) largest = value;
      if (Number.isNaN(value)) break;
    }
    const scale = fround(largest / -8);
    const inverse = scale ? fround(1 / scale) : 0;
    writeHalf(blocks, at, scale);
    for (let i = 0; i < 16; i++) {
      const low = quantizeNibble(values[from + i]!, inverse);
      const high = quantizeNibble(values[from + i + 16]!, inverse);
      blocks[at + 2 + i] = low | (high << 4);
    }
  }
  return blocks;
}

const quantizeNibble = (value: number, inverse: number): number => Math.min(15, Math.trunc(fround(fround(value * inverse) + 8.5)));

/** Writes a finite half, little-endian. Throws `ModelError` for what is none. */
export function writeHalf(bytes: Uint8Array, at: number, value: number): void {
  const bits = floatToHalf(value);
  if ((bits & 0x7c00) === 0x7c00) throw new ModelError('A weight is not a finite number, or is too large for a half-precision scale.');
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}
