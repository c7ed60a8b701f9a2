import { ApiError } from '../../routes/errors.ts';
import type { ChatBody } from '../../routes/gateway.ts';
import type { ChatRequest } from '../../routes/schema/chat.ts';
import { errorFields, log } from '../observe/log.ts';
import type { OriginCall } from './attempt.ts';
import { type CallTools, callPool } from './call.ts';
import { demandOf, modalitiesOf, unreadable } from './demand.ts';
import { OriginFailure } from './failure.ts';
import type { ImageGate } from './images/index.ts';
import { Pool } from './pool.ts';
import type { PoolConfig } from './pool-config.ts';
import { mayAskAgain } from './retry.ts';
import { estimateTokens } from './usage.ts';

/** Pools to ask one after the other, and whether the edge may answer when all have failed. */
interface Chain {
  pools: Pool[];
  edge: boolean;
}

/** The pools of a chain have failed, each in its own way. The message, status and code are the last one's. */
export class ChainFailure extends Error {
  override readonly name = 'ChainFailure';
  readonly last: OriginFailure;
  readonly byModel: ReadonlyMap<string, OriginFailure>;
  /** The pool that was asked for names the edge model as its stand-in. */
  readonly edge: boolean;

  constructor(byModel: ReadonlyMap<string, OriginFailure>, last: OriginFailure, edge: boolean) {
    super(last.message);
    this.byModel = byModel;
    this.last = last;
    this.edge = edge;
  }
}

/** A request's time at origins: when the first was asked, milliseconds since the epoch, and how long it may take in all, milliseconds. */
export interface OriginTime {
  readonly since: number;
  ms: number;
}

export interface OriginAnswer {
  body: ChatBody;
  /** The pool's model that answered. */
  model: string;
  /** What happened on the way: `retried`, `hedged`, `fallback`, and the codes of pools that failed. */
  notes: string[];
}

export interface OriginSources {
  /** By the settings. */
  pools: PoolConfig[];
  /** Reads the list that may change without a deployment: its text, or null when there is none. */
  stored: (() => Promise<string | null>) | null;
  /** Throws `ConfigError`. */
  parse(value: unknown, source: string): PoolConfig[];
  region: string | null;
  tools: CallTools;
  /** What every request with images goes through. */
  images: ImageGate;
  /** Told at every request, to bring what the monitor sees into the endpoints. */
  watch: ((pools: Pool[]) => void) | null;
}

/** A stored list is read again after so many milliseconds, while there are requests. */
export const refreshEveryMs = 10_000;

/** The pools there are, as settings or as stored, and the way through them. */
export class OriginDirectory {
  readonly #sources: OriginSources;
  #pools: Pool[];
  #text: string | null = null;
  #readAt = 0;
  #problem: string | null = null;

  constructor(sources: OriginSources) {
    this.#sources = sources;
    this.#pools = sources.pools.map((pool) => new Pool(pool, sources.region));
  }

  /** Why the stored list is not the one in use, or null. */
  get problem(): string | null {
    return this.#problem;
  }

  /** The client of an endpoint. */
  fetchOf(binding: string | null): typeof fetch {
    return this.#sources.tools.fetchOf(binding);
  }

  /** The pools as of now. The first call waits for the stored list; later ones have it read again beside them. */
  async pools(): Promise<Pool[]> {
    const { stored, tools, watch } = this.#sources;
    if (stored && Date.now() - this.#readAt > refreshEveryMs) {
      const reading = this.#read(stored);
      if (this.#readAt === 0) await reading;
      else tools.background(reading);
      this.#readAt = Date.now();
    }
    watch?.(this.#pools);
    return this.#pools;
  }

  /**
   * The pools that a request may be placed with, the preferred one first: the one of that model; or of all, the first one that suits, and those that suit and have a
   * `quality` to be weighed by. Empty when the name is none of ours. Throws 400 when there are pools but none that reads what the prompt consists of.
   * @param model a pool's model; null for the choice among all
   * @param regions where the request may go, null for anywhere: pools that suit there come alone. Where none does, the others stay, for the rules to refuse
   */
  async candidates(model: string | null, request: ChatRequest, promptBytes: number, regions: string[] | null): Promise<Pool[]> {
    const all = await this.pools();
    const asked = model === null ? all : all.filter((pool) => pool.config.model === model);
    if (asked.length === 0) return [];
    const modalities = modalitiesOf(request);
    const allowed = asked.filter((pool) => pool.reads(modalities, regions));
    const reading = allowed.length > 0 ? allowed : asked.filter((pool) => pool.reads(modalities));
    const holding = reading.filter((pool) => pool.holds(estimateTokens(promptBytes)));
    const first = holding[0] ?? reading[0];
    if (!first) throw unreadable(modalities, model);
    return [first, ...holding.filter((pool) => pool !== first && pool.config.quality != null)];
  }

  /**
   * Asks the pool of that model, and then its fallbacks, until one answers or the time of the request as a whole is up: the longest total timeout of these pools, from
   * when it first asked for an origin on. Not the first one's: whoever gives a fallback more time than the pool before it means it to be asked when that has taken too long. Throws `ChainFailure` when none does, what
   * the request itself is at fault for as it is, and 400 or 413 for an image that none of them gets to see.
   * @param time of the request, kept by the caller: another pool that it is placed with later begins no time of its own, but may lengthen it
   */
  async answer(model: string, asked: OriginCall, time: OriginTime = { since: Date.now(), ms: 0 }): Promise<OriginAnswer> {
    const { pools, edge } = this.#chain(model, asked);
    time.ms = Math.max(time.ms, ...pools.map((pool) => pool.config.timeouts.total));
    const limit = { endsAt: time.since + time.ms, ms: time.ms };
    const call = { ...asked, limit, request: await this.#sources.images(asked.request, asked.signal) };
    const notes: string[] = [];
    const failures = new Map<string, OriginFailure>();
    for (const pool of pools) {
      const { model } = pool.config;
      try {
        const demand = demandOf(model, call.request, call.promptBytes, call.regions);
        const answer = await callPool(pool, call, demand, this.#sources.tools);
        return { body: answer.body, model, notes: [...notes, ...answer.notes] };
      } catch (error) {
        if (!(error instanceof OriginFailure)) throw error;
        failures.set(model, error);
        const isOver = pool === pools.at(-1) || Date.now() >= limit.endsAt;
        const isLast = isOver || !mayAskAgain(error, call.request.body.store !== true);
        if (isLast) throw new ChainFailure(failures, error, edge);
        log('origin_fallback', { id: call.id, model, code: error.code });
        notes.push('fallback', error.code);
      }
    }
    throw new Error(`no pool of the model ${model}`);
  }

  /** The list may have changed since the request was placed; it must not change while one is on its way. */
  #chain(model: string, { request, regions }: OriginCall): Chain {
    const all = this.#pools;
    const first = all.find((pool) => pool.config.model === model);
    if (!first) throw new ApiError(503, 'origin_unavailable', `The model '${model}' is no longer offered.`, { retryAfter: 1 });
    const modalities = modalitiesOf(request);
    const { fallback } = first.config;
    const others = fallback.flatMap((name) => all.filter((pool) => pool.config.model === name && pool.reads(modalities, regions ?? null)));
    return { pools: [first, ...others], edge: fallback.includes('edge') };
  }

  async #read(stored: () => Promise<string | null>): Promise<void> {
    try {
      const text = await stored();
      if (text === this.#text) {
        this.#problem = null;
        return;
      }
      const { parse, pools, region } = this.#sources;
      // What was learnt about endpoints that stay is kept.
      const known = this.#pools.flatMap((pool) => pool.endpoints);
      const configs = text === null ? pools : parse(text, 'The list of origins in KV');
      this.#pools = configs.map((config) => new Pool(config, region, known));
      this.#text = text;
      this.#problem = null;
      log('origins_read', { pools: configs.length });
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      log('origins_not_read', errorFields(error));
    }
  }
}
