import { FNV_BASIS, fnv1a } from '../fnv1a.ts';

/*
 * The pack's fast checksum, 32 bits, against damaged and mixed-up files; SHA-256 is for everything else. Made so that WASM SIMD computes it at memory speed:
 *
 *   1. Take the bytes as little-endian 32-bit words, padded with zero bytes to a multiple of 64 bytes.
 *   2. Sixteen lanes, all starting at 0x811c9dc5 (FNV-1a's offset basis). Word i goes to lane i mod 16: lane = (lane XOR word) * 0x01000193 mod 2^32.
 *   3. hash = 0x811c9dc5; for lane 0 to 15: hash = (hash XOR lane) * 0x01000193 mod 2^32.
 *   4. hash = (hash XOR byte length mod 2^32) * 0x01000193 mod 2^32. The answer is unsigned.
 *
 * FNV-1a, here over words instead of bytes: http://www.isthe.com/chongo/tech/comp/fnv/
 */
const STRIPE = 64;

/** The checksum of `bytes`, 0 to 2^32 - 1. */
export function checksum(bytes: Uint8Array): number {
  const lanes = new Uint32Array(16).fill(FNV_BASIS);
  const whole = bytes.length - (bytes.length % STRIPE);
  addStripes(lanes, bytes.subarray(0, whole));
  if (whole < bytes.length) {
    const tail = new Uint8Array(STRIPE);
    tail.set(bytes.subarray(whole));
    addStripes(lanes, tail);
  }
  let hash = FNV_BASIS;
  for (const lane of lanes) hash = fnv1a(hash, lane);
  return fnv1a(hash, bytes.length) >>> 0;
}

function addStripes(lanes: Uint32Array, stripes: Uint8Array): void {
  const aligned = stripes.byteOffset % 4 === 0 ? stripes : stripes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  for (let i = 0; i < words.length; i++) lanes[i & 15] = fnv1a(lanes[i & 15]!, words[i]!);
}
