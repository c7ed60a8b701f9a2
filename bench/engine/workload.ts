import type { Manifest } from '../../models/pack/manifest.ts';
import { PREFILL_CHUNK } from '../../wasm/engine/generate.ts';
import { PrefixCache } from '../../wasm/engine/prefix-cache.ts';
import type { HeadQuery, Stage } from '../../wasm/engine/stage.ts';

/** What greedy sampling asks for. */
const GREEDY: HeadQuery = { candidates: 1, adjust: null, draw: null };
/** Room for a few states of the 0.8B. */
const CACHE_BYTES = 256e6;

/**
 * The measured work on a whole model, the same in Node and in workerd. Times are taken around many steps, since workerd's clock ticks in milliseconds.
 * Prompts go through in the product's own chunks.
 */
export class Workload {
  readonly #stage: Stage;
  readonly #tokenCount: number;
  readonly #now: () => number;
  /** State after a prompt, by its length: a long context is computed once. */
  readonly #snapshots = new Map<number, Uint8Array>();
  /** The product's prefix cache, and the lengths of the prefixes in it. */
  readonly #cache: PrefixCache;
  readonly #cached = new Set<number>();

  /** @param now milliseconds */
  constructor(stage: Stage, manifest: Manifest, now: () => number) {
    this.#stage = stage;
    this.#tokenCount = manifest.tokenCount;
    this.#now = now;
    this.#cache = new PrefixCache(stage, { budgetBytes: CACHE_BYTES, cutBack: false });
  }

  /** Tokens per second of `sessions` sessions decoding together, `tokens` tokens each, around a context of `context` tokens. */
  async decode({ context, tokens, sessions }: { context: number; tokens: number; sessions: number }): Promise<number> {
    const start = context - Math.floor(tokens / 2);
    const names = Array.from({ length: sessions }, (_, i) => `decode-${i}`);
    for (const name of names) await this.#openAt(name, start);
    let ids = names.map((_, i) => this.#id(i));
    const started = this.#now();
    for (let i = 0; i < tokens; i++) {
      const results = await this.#stage.step(names.map((session, s) => ({ session, position: start + i, ids: [ids[s]!], head: GREEDY })));
      ids = results.map(({ head }) => head!.ids[0]!);
    }
    const ms = this.#now() - started;
    for (const name of names) await this.#stage.close(name);
    return (1000 * tokens * sessions) / ms;
  }

  /** Tokens per second of a prompt without asking for logits. */
  async prefill({ tokens }: { tokens: number }): Promise<number> {
    return (1000 * tokens) / (await this.#prompt('prefill', 0, tokens, false));
  }

  /** Milliseconds to the first token of a prompt. */
  ttft({ tokens }: { tokens: number }): Promise<number> {
    return this.#prompt('ttft', 0, tokens, true);
  }

  /** Milliseconds to the first token of `tokens` new tokens after a prefix that the product's prefix cache holds, its look-up included. */
  async cacheHit({ prefix, tokens }: { prefix: number; tokens: number }): Promise<number> {
    const ids = Array.from({ length: prefix + tokens }, (_, i) => this.#id(i));
    if (!this.#cached.has(prefix)) await this.#cachePrefix(ids, prefix);
    const started = this.#now();
    const { cached } = await this.#cache.open('hit', ids, 'bench', [prefix]);
    await this.#feed('hit', cached, ids.length - cached, true);
    const ms = this.#now() - started;
    await this.#stage.close('hit');
    return ms;
  }

  async #cachePrefix(ids: number[], prefix: number): Promise<void> {
    const first = await this.#cache.open('fill', ids, 'bench', [prefix]);
    await this.#feed('fill', first.cached, prefix - first.cached, false);
    await first.keep(prefix);
    await this.#stage.close('fill');
    this.#cached.add(prefix);
  }

  /** Milliseconds to the first token of `tokens` new tokens after the snapshot of a prefix, taking it up included. */
  prefixHit({ prefix, tokens }: { prefix: number; tokens: number }): Promise<number> {
    return this.#prompt('prefix', prefix, tokens, true);
  }

  /** Leaves a session of so many tokens open, for a look at memory. */
  async hold({ tokens }: { tokens: number }): Promise<number> {
    await this.#stage.open('held');
    await this.#feed('held', 0, tokens, true);
    return tokens;
  }

  /** Drops held sessions, snapshots and cached prefixes. */
  async release(): Promise<number> {
    await this.#stage.close('held');
    this.#snapshots.clear();
    for (let kept = this.#cache.evict(); kept !== null; kept = this.#cache.evict()) await this.#stage.close(kept);
    this.#cached.clear();
    return 0;
  }

  async #prompt(session: string, prefix: number, tokens: number, head: boolean): Promise<number> {
    if (prefix > 0) await this.#snapshotAt(prefix);
    const started = this.#now();
    await this.#openAt(session, prefix);
    await this.#feed(session, prefix, tokens, head);
    const ms = this.#now() - started;
    await this.#stage.close(session);
    return ms;
  }

  async #openAt(session: string, position: number): Promise<void> {
    if (position === 0) await this.#stage.open(session);
    else await this.#stage.restore(session, await this.#snapshotAt(position));
  }

  async #snapshotAt(position: number): Promise<Uint8Array> {
    let snapshot = this.#snapshots.get(position);
    if (!snapshot) {
      await this.#stage.open('snapshot');
      await this.#feed('snapshot', 0, position, true);
      snapshot = await this.#stage.snapshot('snapshot');
      await this.#stage.close('snapshot');
      this.#snapshots.set(position, snapshot);
    }
    return snapshot;
  }

  /** Feeds `tokens` tokens from `position` on; asks for the last one's best token if `head`. */
  async #feed(session: string, position: number, tokens: number, head: boolean): Promise<void> {
    for (let done = 0; done < tokens; done += PREFILL_CHUNK) {
      const count = Math.min(PREFILL_CHUNK, tokens - done);
      const ids = Array.from({ length: count }, (_, i) => this.#id(position + done + i));
      const last = done + count === tokens;
      await this.#stage.step([{ session, position: position + done, ids, head: head && last ? GREEDY : undefined }]);
    }
  }

  #id(i: number): number {
    return (i * 7919 + 301) % this.#tokenCount;
  }
}

/** One named call of a Workload. */
export type Job =
  | { name: 'decode'; context: number; tokens: number; sessions: number }
  | { name: 'prefill' | 'ttft' | 'hold'; tokens: number }
  | { name: 'cacheHit' | 'prefixHit'; prefix: number; tokens: number }
  | { name: 'release' };

export function runJob(workload: Workload, job: Job): Promise<number> {
  switch (job.name) {
    case 'decode':
      return workload.decode(job);
    case 'cacheHit':
      return workload.cacheHit(job);
    case 'prefixHit':
      return workload.prefixHit(job);
    case 'release':
      return workload.release();
    default:
      return workload[job.name](job);
  }
}

/** Bytes of weights one decoded token reads: every matrix and vector once, of an untied token table only a row. */
export function weightBytesPerToken({ files, tensors, config }: Manifest): number {
  const table = config.tiedHead ? 0 : tensors.embed!.parts.reduce((sum, { bytes }) => sum + bytes, 0);
  return files.reduce((sum, { bytes }) => sum + bytes, 0) - table;
}
