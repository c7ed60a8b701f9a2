import { PrefixIndex } from './prefix-index.ts';
import { type Stage, StageError } from './stage.ts';

export interface PrefixCacheOptions {
  /** Most bytes of the engine's memory that cached states may take; 0 for no cache. */
  budgetBytes: number;
  /** The model has no recurrent layers, so a state also serves any shorter prefix. */
  cutBack: boolean;
}

/** A prompt to be evaluated in a session that the cache has opened. */
export interface PromptPrefix {
  /** Tokens that the session has seen already. */
  cached: number;
  /** After so many tokens the state is worth keeping; ascending, more than `cached`, fewer than the prompt has. */
  keepAt: number[];
  /** Keeps the session's state now that it has seen so many tokens of the prompt. Never fails: a cache that is full keeps nothing. */
  keep(tokens: number): Promise<void>;
}

/** Tokens that a state must save: restoring one costs some milliseconds, and each place to keep one ends a prefill chunk early. */
const MIN_GAIN = 24;
/** Borders where the states of long prompts are kept, whatever comes after: at 256 tokens, 512, 1024 and so on, because each state serves its own border only. */
const FIRST_BORDER = 256;
/** Borders are kept where the budget holds so many of the states. */
const MANY = 16;

/**
 * Remembers evaluated prefixes of prompts, as forked sessions of a stage (full KV pages shared, the recurrent state copied), least recently used out first. A
 * recurrent state cannot be cut back, so it is kept where prompts are known to part (the boundaries their template has, the place where one left the way of an
 * earlier one) and, where states are small, at a few borders besides.
 *
 * A hit is faster than a miss, and anyone can measure that: prompts share what is cached only within a scope.
 */
export class PrefixCache {
  readonly #stage: Stage;
  readonly #options: PrefixCacheOptions;
  readonly #index: PrefixIndex;
  /** One prefix is kept at a time, or two together could pass the budget. */
  #keeping: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(stage: Stage, options: PrefixCacheOptions) {
    this.#stage = stage;
    this.#options = options;
    this.#index = new PrefixIndex(options.cutBack);
  }

  /** Bytes of the engine's memory that cached states take. */
  bytes(): Promise<number> {
    return this.#stage.bytesOf(this.#index.sessions);
  }

  /** Number of cached states. */
  get size(): number {
    return this.#index.sessions.length;
  }

  /**
   * Opens `session` in the state after the longest cached prefix of a prompt, which is never all of it, since its last token's logits are wanted.
   * @param scope null: nothing is looked up or kept
   * @param boundaries numbers of tokens after which other prompts may go on differently, where the caller knows of any
   * @throws what opening a session throws
   */
  async open(session: string, ids: number[], scope: string | null, boundaries: number[]): Promise<PromptPrefix> {
    if (scope === null || this.#options.budgetBytes === 0) {
      await this.#stage.open(session);
      return { cached: 0, keepAt: [], keep: async () => {} };
    }
    const branch = this.#index.sharedWithEarlier(scope, ids);
    const cached = await this.#restore(session, ids, scope);
    return {
      cached,
      keepAt: await this.#placesToKeep(session, ids, cached, [branch, ...boundaries]),
      keep: (tokens) => this.#inTurn(() => this.#keep(session, ids.slice(0, tokens), scope)),
    };
  }

  /** Takes the state unused longest out of the cache. Answers its session, which the caller closes, or null when the cache is empty. */
  evict(): string | null {
    const [oldest = null] = this.#index.sessions;
    if (oldest !== null) this.#index.remove(oldest);
    return oldest;
  }

  async #restore(session: string, ids: number[], scope: string): Promise<number> {
    for (;;) {
      const match = this.#index.find(scope, ids, ids.length - 1);
      if (!match || match.tokens < MIN_GAIN) break;
      try {
        await this.#stage.fork(match.session, session, match.tokens);
        return match.tokens;
      } catch (error) {
        if (!(error instanceof StageError) || error.code !== 'unknown_session') throw error;
        // It was evicted while the fork waited for its turn.
        this.#index.remove(match.session);
      }
    }
    await this.#stage.open(session);
    return 0;
  }

  async #placesToKeep(session: string, ids: number[], cached: number, boundaries: number[]): Promise<number[]> {
    const places = [...boundaries];
    if (!this.#options.cutBack && (await this.#stage.bytesOf([session])) * MANY <= this.#options.budgetBytes) {
      for (let border = FIRST_BORDER; border < ids.length; border *= 2) places.push(border);
    }
    const kept: number[] = [];
    for (const place of places.sort((a, b) => a - b)) {
      if (place >= (kept.at(-1) ?? cached) + MIN_GAIN && place < ids.length) kept.push(place);
    }
    return kept;
  }

  async #keep(session: string, ids: number[], scope: string): Promise<void> {
    if (this.#index.has(scope, ids)) return;
    // The session stands in for the copy of it that is about to be made.
    while ((await this.#stage.bytesOf([...this.#index.sessions, session])) > this.#options.budgetBytes) {
      if (!(await this.#closeOldest())) return;
    }
    const copy = `prefix-${this.#count++}`;
    for (;;) {
      try {
        await this.#stage.fork(session, copy);
        return this.#index.add(copy, scope, ids);
      } catch (error) {
        // The session may have ended meanwhile, or memory be short: then there is one prefix less to remember.
        if (!(error instanceof StageError) || error.code !== 'out_of_memory' || !(await this.#closeOldest())) return;
      }
    }
  }

  async #closeOldest(): Promise<boolean> {
    const oldest = this.evict();
    if (oldest !== null) await this.#stage.close(oldest);
    return oldest !== null;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#keeping = this.#keeping.then(work, work);
    return this.#keeping;
  }
}
