/** Value of each of the 65536 half-precision bit patterns: a table beats decoding by a factor of several, and weights are decoded by the million. */
const HALVES = (() => {
  const bits = new Uint16Array(65536);
  for (let i = 0; i < bits.length; i++) bits[i] = i;
  return Float32Array.from(new Float16Array(bits.buffer));
})();

const scratch = new Float16Array(1);
const scratchBits = new Uint16Array(scratch.buffer);

/** The value of an IEEE 754 half given as its 16 bits. */
export const halfToFloat = (bits: number): number => HALVES[bits]!;

/** The 16 bits of the half nearest to a float, ties to even, too large to infinity. */
export function floatToHalf(value: number): number {
  scratch[0] = value;
  return scratchBits[0]!;
}
