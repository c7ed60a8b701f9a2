import { Budget } from './budget.ts';
import { readsAll } from './demand.ts';
import { slowOutlier } from './ejection.ts';
import { Endpoint, type Flight, priorSlowness } from './endpoint.ts';
import { fixedTokens, pick } from './pick.ts';
import type { PoolConfig } from './pool-config.ts';

/** What the choice of an endpoint depends on. */
export interface Demand {
  /** Requests with the same key probably share a prefix. */
  key: string;
  promptTokens: number;
  /** What the prompt consists of: text, image ... */
  modalities: string[];
  /** Only endpoints in these regions may be asked; null for all. */
  regions?: string[] | null;
}

/** Part of the requests that may be retried, and hedged. */
const retryShare = 0.1;
const hedgeShare = 0.05;
/** Times to first token that the 95th percentile is taken of; with fewer than the minimum nobody is hedged. */
const keptSamples = 128;
const minSamples = 20;
/** Milliseconds; a hedge before that would only double the load. */
const soonestHedge = 50;

/** The endpoints of one model and all that this isolate has learnt about them. */
export class Pool {
  readonly config: PoolConfig;
  readonly endpoints: Endpoint[];
  readonly retries = new Budget(retryShare, 10);
  readonly hedges = new Budget(hedgeShare, 2);
  readonly #region: string | null;
  /** Times to first token per token of prompt. */
  readonly #ttfts: number[] = [];
  #nextTtft = 0;
  #wokenAt = 0;

  /** @param known endpoints of an earlier configuration: what is unchanged keeps what was learnt about it */
  constructor(config: PoolConfig, region: string | null, known: Endpoint[] = []) {
    this.config = config;
    this.#region = region;
    const same = (endpoint: Endpoint, other: object) => JSON.stringify(endpoint.config) === JSON.stringify(other);
    this.endpoints = config.endpoints.map((entry) => known.find((endpoint) => same(endpoint, entry)) ?? new Endpoint(entry));
  }

  /** Whether some endpoint in these regions, null for all of them, reads all that the prompt consists of. */
  reads(modalities: string[], regions: string[] | null = null): boolean {
    return this.endpoints.some((endpoint) => isIn(endpoint, regions) && readsAll(endpoint.config.modalities, modalities));
  }

  /** The endpoints in these regions, null for all of them; all, where none is there. */
  within(regions: string[] | null): Endpoint[] {
    const allowed = this.endpoints.filter((endpoint) => isIn(endpoint, regions));
    return allowed.length > 0 ? allowed : this.endpoints;
  }

  /** Whether some endpoint's context is long enough, or not known. */
  holds(promptTokens: number): boolean {
    return this.endpoints.some((endpoint) => (endpoint.config.context ?? Number.POSITIVE_INFINITY) >= promptTokens);
  }

  /** The endpoint to ask, or null when all that suit are in `except`. */
  choose(demand: Demand, now: number, except: ReadonlySet<Endpoint> = new Set()): Endpoint | null {
    const suitable = this.#suitable(demand);
    const there = suitable.filter((endpoint) => endpoint.isAvailable(now));
    // Never the last one: where all are out, all are asked.
    const usable = (there.length > 0 ? there : suitable).filter((endpoint) => !except.has(endpoint));
    if (usable.length < 2) return usable[0] ?? null;
    const rested = usable.filter((endpoint) => endpoint.pause(now) === 0 && !endpoint.looksDead(now));
    const prior = this.#prior(now);
    const candidates = (rested.length > 0 ? rested : usable).map((endpoint) => endpoint.candidate(now, this.#region, prior));
    const chosen = pick(candidates, demand.key, demand.promptTokens);
    return chosen && usable.find((endpoint) => endpoint.config.name === chosen.name)!;
  }

  /** All endpoints that suit answer nothing but 503. */
  isCold(demand: Demand, now: number): boolean {
    return this.#suitable(demand).every((endpoint) => endpoint.isCold(now));
  }

  /** Whether it is time for a request that wakes the pool; then notes that there was one. */
  mayWake(now: number, everyMs: number): boolean {
    if (now - this.#wokenAt < everyMs) return false;
    this.#wokenAt = now;
    return true;
  }

  isSaturated(now: number): boolean {
    return isSaturated(this.endpoints, now);
  }

  /** A first token came. Whoever takes much longer than its peers is left out for a while. */
  answered(endpoint: Endpoint, flight: Flight, now: number): void {
    const prior = this.#prior(now);
    endpoint.answered(flight, now, true, prior);
    this.#ttfts[this.#nextTtft] = (now - flight.startedAt) / (fixedTokens + flight.promptTokens);
    this.#nextTtft = (this.#nextTtft + 1) % keptSamples;
    const peers = this.endpoints.filter((peer) => peer.isAvailable(now));
    const slow = slowOutlier(peers.map((peer) => peer.judgedSlowness(now, prior)));
    if (slow !== null) peers[slow]!.eject(now);
  }

  /** How late a first token has to be for a second endpoint to be asked, milliseconds: the 95th percentile. Null for never. */
  hedgeAfter(promptTokens: number, now: number): number | null {
    if (!this.config.hedging || this.endpoints.length < 2 || this.#ttfts.length < minSamples || this.isSaturated(now)) return null;
    const sorted = [...this.#ttfts].sort((a, b) => a - b);
    return Math.max(soonestHedge, sorted[Math.floor(0.95 * (sorted.length - 1))]! * (fixedTokens + promptTokens));
  }

  /**
   * What is assumed of an endpoint that has not been heard of lately, milliseconds per prompt token: that it is as fast as the fastest. Whoever was slow for a
   * moment, or has never been asked, gets its requests (again) and is measured anew, instead of being left alone for what it once was.
   */
  #prior(now: number): number {
    const measured = this.endpoints.map((endpoint) => endpoint.measuredSlowness(now)).filter((slowness) => slowness !== null);
    return measured.length > 0 ? Math.min(...measured) : priorSlowness;
  }

  /** Those that may serve the request and can; where none is known to hold it, all that read it. */
  #suitable(demand: Demand): Endpoint[] {
    const allowed = this.endpoints.filter((endpoint) => isIn(endpoint, demand.regions ?? null));
    const reading = allowed.filter((endpoint) => readsAll(endpoint.config.modalities, demand.modalities));
    const holding = reading.filter((endpoint) => (endpoint.config.context ?? Number.POSITIVE_INFINITY) >= demand.promptTokens);
    return holding.length > 0 ? holding : reading;
  }
}

/** A request sent to any of them now would wait for others' whole answers. */
export function isSaturated(endpoints: Endpoint[], now: number): boolean {
  return endpoints.every((endpoint) => endpoint.isFull(now) || !endpoint.isAvailable(now));
}

/** An endpoint that is nowhere in particular is in none of them. */
function isIn({ config: { region } }: Endpoint, regions: string[] | null): boolean {
  return regions === null || (region !== null && regions.includes(region));
}
