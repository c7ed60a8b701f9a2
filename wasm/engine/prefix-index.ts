import { FNV_BASIS, fnv1a } from '../../models/fnv1a.ts';

/** An evaluated prefix: a session of the stage that nobody feeds any more. */
export interface CachedPrefix {
  session: string;
  scope: string;
  ids: Int32Array;
  /** End of the token-hash chain of `ids`. */
  hash: number;
}

export interface PrefixMatch {
  session: string;
  /** How many of its tokens the prompt begins with, and of which its state is to serve. */
  tokens: number;
}

/** Tokens of prompts remembered, to see where a new one leaves the way of an older one. */
const REMEMBERED_TOKENS = 64 * 1024;

/** FNV-1a over tokens: element n is the hash of the first n, so that one pass over a prompt knows the key of every prefix of it. */
function hashChain(ids: ArrayLike<number>): Uint32Array {
  const chain = new Uint32Array(ids.length + 1);
  chain[0] = FNV_BASIS;
  for (let i = 0; i < ids.length; i++) chain[i + 1] = fnv1a(chain[i]!, ids[i]!);
  return chain;
}

/** How many tokens two sequences have in common from the start. */
export function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a[i] === b[i]) i += 1;
  return i;
}

/**
 * Which prefixes are cached, and which of them was used longest ago. Only knows names and tokens; the states are sessions of a stage. Prefixes of one scope are
 * never found from another. A hash only says where to look: the tokens decide, since whoever finds two prompts of the same hash must not get another's state.
 */
export class PrefixIndex {
  /** In the order of their last use. */
  readonly #prefixes = new Map<string, CachedPrefix>();
  /** In the order they came. */
  #prompts: { scope: string; ids: Int32Array }[] = [];
  readonly #cutBack: boolean;

  /** @param cutBack a state also serves any shorter prefix of its tokens: true of a model without recurrent layers */
  constructor(cutBack: boolean) {
    this.#cutBack = cutBack;
  }

  /** Sessions of all cached prefixes, the one unused longest first. */
  get sessions(): string[] {
    return [...this.#prefixes.keys()];
  }

  /** The state that saves most of a prompt; at most `limit` tokens of it. It counts as used. */
  find(scope: string, ids: number[], limit: number): PrefixMatch | null {
    let best: PrefixMatch | null = null;
    const chain = hashChain(ids);
    for (const prefix of this.#prefixes.values()) {
      if (prefix.scope !== scope) continue;
      const tokens = Math.min(limit, this.#served(prefix, ids, chain));
      if (tokens < prefix.ids.length && !this.#cutBack) continue;
      if (tokens > (best?.tokens ?? 0)) best = { session: prefix.session, tokens };
    }
    if (best) this.#touch(best.session);
    return best;
  }

  /** How many tokens of a prompt this state could serve. */
  #served({ ids: cached, hash }: CachedPrefix, ids: number[], chain: Uint32Array): number {
    if (this.#cutBack) return commonLength(cached, ids);
    return chain[cached.length] === hash && commonLength(cached, ids) === cached.length ? cached.length : 0;
  }

  has(scope: string, ids: number[]): boolean {
    const { length } = ids;
    return [...this.#prefixes.values()].some(
      (prefix) => prefix.scope === scope && prefix.ids.length === length && commonLength(prefix.ids, ids) === length,
    );
  }

  add(session: string, scope: string, ids: number[]): void {
    this.#prefixes.set(session, { session, scope, ids: Int32Array.from(ids), hash: hashChain(ids)[ids.length]! });
  }

  remove(session: string): void {
    this.#prefixes.delete(session);
  }

  /** How far this prompt goes along with any earlier one of its scope. The prompt is remembered for the next ones. */
  sharedWithEarlier(scope: string, ids: number[]): number {
    const own = this.#prompts.filter((prompt) => prompt.scope === scope);
    const shared = own.map((prompt) => commonLength(prompt.ids, ids));
    // One that goes all the way along with this prompt has nothing more to say.
    const covered = own[shared.findIndex((length, i) => length === own[i]!.ids.length)];
    this.#prompts = [...this.#prompts.filter((prompt) => prompt !== covered), { scope, ids: Int32Array.from(ids) }];
    let tokens = this.#prompts.reduce((sum, prompt) => sum + prompt.ids.length, 0);
    while (tokens > REMEMBERED_TOKENS) tokens -= this.#prompts.shift()!.ids.length;
    return Math.max(0, ...shared);
  }

  #touch(session: string): void {
    const prefix = this.#prefixes.get(session)!;
    this.#prefixes.delete(session);
    this.#prefixes.set(session, prefix);
  }
}
