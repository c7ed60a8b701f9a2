import { fnv1aOf } from '../../models/fnv1a.ts';
/** What is known of an endpoint when a request is placed. */
export interface Candidate {
  name: string;
  /** Share of the traffic in relation to the others. */
  weight: number;
  /** The lowest number comes first. */
  priority: number;
  /** It is in the gateway's region, or in none in particular. */
  near: boolean;
  /** Milliseconds that one token of prompt takes there, as far as known. */
  slowness: number;
  /** Prompt tokens that wait before ours. */
  queuedTokens: number;
  /** It has no room for another request: those that come wait for a whole answer to end. */
  full: boolean;
}

/** What a call costs whatever its length, in tokens of prompt: scheduling, the first decoding step and the way there. */
export const fixedTokens = 256;

/** A third endpoint must be this many times sooner than the two of the key before it is taken, as it has nothing of the prompt. */
const overflowFactor = 2;

/** Counts as so many waiting tokens: whoever is full makes us wait for the end of an answer. */
const fullTokens = 8_192;

/** Milliseconds until the first token, by what is known. */
export function expectedTtft(candidate: Candidate, promptTokens: number): number {
  const waiting = candidate.queuedTokens + (candidate.full ? fullTokens : 0);
  return candidate.slowness * (fixedTokens + waiting + promptTokens);
}

/**
 * Chooses an endpoint: of the nearest tier, the two that rendezvous hashing ranks first for `key`, and of these the one with the shorter expected time to first
 * token, the first being taken to have the prompt's prefix in its cache. So requests with a common beginning meet on one endpoint while it is not loaded, and on
 * a second, always the same one, while it is; adding or removing an endpoint moves only its own share of the keys. (Rendezvous: Thaler and Ravishankar 1998;
 * two choices: Mitzenmacher 2001.) One key that all requests share would drown its two endpoints; what is much sooner served by one that has little to do goes
 * there. The constants are those that did best in `npm run bench -- pick`.
 *
 * @param candidates those that may be used; the order does not matter
 * @returns null when there are none
 */
export function pick(candidates: Candidate[], key: string, promptTokens: number): Candidate | null {
  if (candidates.length === 1) return candidates[0]!;
  const ranked = rank(nearestTier(candidates), key);
  const [first, second] = ranked;
  if (!first || !second) return first ?? null;
  const [warm, other] = [expectedTtft(first, 0), expectedTtft(second, promptTokens)];
  const best = other < warm ? second : first;
  const soonest = ranked.reduce((a, b) => (expectedTtft(b, promptTokens) < expectedTtft(a, promptTokens) ? b : a));
  const littleToDo = !soonest.full && soonest.queuedTokens <= fixedTokens + promptTokens;
  return littleToDo && overflowFactor * expectedTtft(soonest, promptTokens) < Math.min(warm, other) ? soonest : best;
}

/** The candidates of lowest priority number, those nearby first; the next ones join in while all of these are full. */
function nearestTier(candidates: Candidate[]): Candidate[] {
  const tier = (candidate: Candidate) => 2 * candidate.priority + (candidate.near ? 0 : 1);
  const tiers = [...new Set(candidates.map(tier))].sort((a, b) => a - b);
  const open: Candidate[] = [];
  for (const level of tiers) {
    open.push(...candidates.filter((candidate) => tier(candidate) === level));
    if (open.some((candidate) => !candidate.full)) break;
  }
  return open;
}

/** Candidates by weighted rendezvous hashing: each comes first for a share of the keys that is proportional to its weight. */
export function rank(candidates: Candidate[], key: string): Candidate[] {
  const score = (candidate: Candidate) => -candidate.weight / Math.log((hash(`${candidate.name}\n${key}`) + 0.5) / 2 ** 32);
  return candidates
    .map((candidate) => ({ candidate, score: score(candidate) }))
    .sort((a, b) => b.score - a.score)
    .map(({ candidate }) => candidate);
}

/** FNV-1a over UTF-16 units, finished by MurmurHash3's mixer, as FNV alone leaves similar keys with similar hashes. 0 .. 2^32-1. */
export function hash(text: string): number {
  let h = fnv1aOf(text);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
