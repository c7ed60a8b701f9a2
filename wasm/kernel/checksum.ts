/** The pack's fast checksum (models/pack/checksum.ts says how it is made): sixteen lanes of FNV-1a over 32-bit words, at memory speed. */
const BASIS: u32 = 0x811c9dc5;
const PRIME: u32 = 0x01000193;

const tail = memory.data(64, 16);

/** Checksum of `bytes` bytes at p. */
export function checksum(p: usize, bytes: u32): u32 {
  let a = i32x4.splat(BASIS), b = a, c = a, d = a;
  const prime = i32x4.splat(PRIME);
  for (const end = p + (bytes & ~63); p != end; p += 64) {
    a = i32x4.mul(v128.xor(a, v128.load(p)), prime);
    b = i32x4.mul(v128.xor(b, v128.load(p, 16)), prime);
    c = i32x4.mul(v128.xor(c, v128.load(p, 32)), prime);
    d = i32x4.mul(v128.xor(d, v128.load(p, 48)), prime);
  }
  if (bytes & 63) {
    memory.fill(tail, 0, 64);
    memory.copy(tail, p, bytes & 63);
    a = i32x4.mul(v128.xor(a, v128.load(tail)), prime);
    b = i32x4.mul(v128.xor(b, v128.load(tail, 16)), prime);
    c = i32x4.mul(v128.xor(c, v128.load(tail, 32)), prime);
    d = i32x4.mul(v128.xor(d, v128.load(tail, 48)), prime);
  }
  return (fold(fold(fold(fold(BASIS, a), b), c), d) ^ bytes) * PRIME;
}

function fold(hash: u32, lanes: v128): u32 {
  hash = (hash ^ <u32>i32x4.extract_lane(lanes, 0)) * PRIME;
  hash = (hash ^ <u32>i32x4.extract_lane(lanes, 1)) * PRIME;
  hash = (hash ^ <u32>i32x4.extract_lane(lanes, 2)) * PRIME;
  return (hash ^ <u32>i32x4.extract_lane(lanes, 3)) * PRIME;
}
