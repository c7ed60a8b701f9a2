import { ApiError } from '../../routes/errors.ts';
import type { ChatBody } from '../../routes/gateway.ts';
import type { ChatRequest } from '../../routes/schema/chat.ts';
import { errorFields, log } from '../observe/log.ts';
import type { OriginCall } from './attempt.ts';
import { type CallTools, callPool } from './call.ts';
import { demandOf, modalitiesOf } from './demand.ts';
import { OriginFailure } from './failure.ts';
import type { ImageGate } from './images/index.ts';
import { Pool } from './pool.ts';
import type { PoolConfig } from './pool-config.ts';
import { mayAskAgain } from './retry.ts';
import { estimateTokens } from './usage.ts';

/** Pools to ask one after the other, and whether the edge may answer when all have failed. */
export interface Chain {
  pools: Pool[];
  edge: boolean;
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
const refreshEveryMs = 10_000;

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
   * The pools for a request, in order: the one of that model and its fallbacks, or the first one that suits. Empty when the name is none of ours. Throws 400 when
   * there are pools but none that reads what the prompt consists of.
   * @param model a pool's model; null for the choice among all
   */
  async chain(model: string | null, request: ChatRequest, promptBytes: number): Promise<Chain> {
    const all = await this.pools();
    const asked = model === null ? all : all.filter((pool) => pool.config.model === model);
    if (asked.length === 0) return { pools: [], edge: false };
    const modalities = modalitiesOf(request);
    const reading = asked.filter((pool) => pool.reads(modalities));
    const first = reading.find((pool) => pool.holds(estimateTokens(promptBytes))) ?? reading[0];
    if (!first) throw unreadable(modalities, model);
    const { fallback } = first.config;
    const others = fallback.flatMap((name) => all.filter((pool) => pool.config.model === name && pool.reads(modalities)));
    return { pools: [first, ...others], edge: fallback.includes('edge') };
  }

  /** Asks the pools one after the other until one answers. Throws the last one's failure, or 400 or 413 for an image that none of them gets to see. */
  async answer(chain: Chain, asked: OriginCall): Promise<OriginAnswer> {
    const call = { ...asked, request: await this.#sources.images(asked.request, asked.signal) };
    const notes: string[] = [];
    const last = chain.pools.at(-1);
    for (const pool of chain.pools) {
      const { model } = pool.config;
      try {
        const answer = await callPool(pool, call, demandOf(model, call.request, call.promptBytes), this.#sources.tools);
        return { body: answer.body, model, notes: [...notes, ...answer.notes] };
      } catch (error) {
        if (pool === last || !(error instanceof OriginFailure) || !mayAskAgain(error, call.request.body.store !== true)) throw error;
        log('origin_fallback', { id: call.id, model, code: error.code });
        notes.push('fallback', error.code);
      }
    }
    throw new Error('a chain without pools');
  }

  async #read(stored: () => Promise<string | null>): Promise<void> {
    try {
      const text = await stored();
      if (text === this.#text) return;
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

function unreadable(modalities: string[], model: string | null): ApiError {
  const what = modalities.filter((modality) => modality !== 'text').join(', ');
  const who = model === null ? 'No origin model here reads' : `The model ${model} does not read`;
  return new ApiError(400, 'unsupported_modality', `${who} ${what || 'text'}; leave it out, or ask for a model that does.`, {
    param: 'messages',
  });
}
