/** 32-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), over whatever units: bytes, UTF-16 units, tokens, words. To notice differences, not to resist anyone. */

/** What every hash starts with. */
export const FNV_BASIS = 0x811c9dc5;

/** One step; signed, as Math.imul leaves it. */
export const fnv1a = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193);

/** The hash of a text's UTF-16 units; signed. */
export function fnv1aOf(text: string): number {
  let hash = FNV_BASIS;
  for (let i = 0; i < text.length; i++) hash = fnv1a(hash, text.charCodeAt(i));
  return hash;
}

/** Its high bits folded down, for whoever uses the low ones: 0 .. 2^32-1. */
export const folded = (hash: number): number => (hash ^ (hash >>> 15)) >>> 0;
