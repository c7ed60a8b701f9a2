/**
 * Sampling by the Gumbel-max rule: argmax over tokens of logit / temperature + g(id), with g independent standard Gumbel variables, draws a token from
 * softmax(logit / temperature) (Gumbel 1954; Maddison et al., "A* Sampling", 2014). Here g is a hash of (seed, step, id), so a token's score depends on
 * nothing but itself: the draw is the same on every machine, for every slicing of the vocabulary, and for a whole distribution or a filtered set of it.
 */

/** What `gumbel` needs of a seed and a step; compute it once per draw. */
export interface GumbelKey {
  low: number;
  high: number;
}

/** A 32-bit bijective mixer with low bias (Wellons, "Prospecting for hash functions", lowbias32). */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** @param seed any safe integer. @param step number of tokens generated before this one. */
export function gumbelKey(seed: number, step: number): GumbelKey {
  const seedLow = seed | 0;
  const seedHigh = Math.floor(seed / 4294967296) | 0;
  const low = mix(mix(mix(seedHigh ^ 0x3c6ef372) ^ seedLow) ^ step);
  return { low, high: mix(low ^ 0x9e3779b9) };
}

/** The standard Gumbel variable of token `id`, at 32 bits of resolution: always finite, between -3.2 and 22.9. */
export function gumbel(key: GumbelKey, id: number): number {
  const hash = mix(mix(id ^ key.low) + key.high) >>> 0;
  return -Math.log(-Math.log((hash + 0.5) / 4294967296));
}

/** Largest value `gumbel` can return: a token whose logit / temperature lies further than this plus 3.2 below another's cannot be drawn before it. */
export const MAX_GUMBEL = 22.88;
