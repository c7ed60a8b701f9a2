import { FNV_BASIS, fnv1a } from '../../models/fnv1a.ts';

/** Tokens that must have occurred before in the same order for what followed them to be drafted. */
const MATCH = 3;
/** Most tokens drafted: with the one they follow they make four rows, which the kernels read the weights for once. */
const MOST = 3;
/** Drafted tokens accepted per attempt, on average, below which attempts cost more than they save, and the share of the past in that average. */
const WORTH_WHILE = 1.1;
const MEMORY = 0.7;
/** Tokens without an attempt after too many that failed, and the average to begin again with. */
const PAUSE = 32;
const SECOND_CHANCE = 1.4;

/**
 * Drafts by prompt lookup: an answer that repeats its prompt or itself (extracting, rewriting, code) goes on as the earlier occurrence of its last tokens did.
 * Needs no second model. A draft that is wrong costs time only, so it stops for a while where drafts are mostly wrong.
 *
 * Source: A. Saxena, Prompt Lookup Decoding (2023).
 */
export class PromptLookup {
  readonly #ids: number[] = [];
  /** By the hash of MATCH tokens: the length of the sequence after their last occurrence. */
  readonly #after = new Map<number, number>();
  #accepted = MOST;
  #resumeAt = 0;

  constructor(ids: number[]) {
    for (const id of ids) this.push(id);
  }

  /** The sequence goes on with this token. */
  push(id: number): void {
    // Entered one token late, so that the end of the sequence does not find itself.
    if (this.#ids.length >= MATCH) this.#after.set(hashOfLast(this.#ids), this.#ids.length);
    this.#ids.push(id);
  }

  /** Up to `limit` tokens that may come next; often none. */
  draft(limit: number): number[] {
    const { length } = this.#ids;
    if (limit <= 0 || length < MATCH || length < this.#resumeAt) return [];
    const at = this.#after.get(hashOfLast(this.#ids));
    if (at === undefined) return [];
    for (let i = 1; i <= MATCH; i++) if (this.#ids[at - i] !== this.#ids[length - i]) return [];
    const drafted: number[] = [];
    // What repeats with a short period goes on with what was just drafted.
    for (let i = at; drafted.length < Math.min(limit, MOST); i++) drafted.push(i < length ? this.#ids[i]! : drafted[i - length]!);
    return drafted;
  }

  /** Tells how many tokens of a draft were right. */
  judge(accepted: number): void {
    this.#accepted = MEMORY * this.#accepted + (1 - MEMORY) * accepted;
    if (this.#accepted >= WORTH_WHILE) return;
    this.#resumeAt = this.#ids.length + PAUSE;
    this.#accepted = SECOND_CHANCE;
  }
}

function hashOfLast(ids: number[]): number {
  let hash = FNV_BASIS;
  for (let i = ids.length - MATCH; i < ids.length; i++) hash = fnv1a(hash, ids[i]!);
  return hash;
}
