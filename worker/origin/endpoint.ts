import { eject, failed, type Health, healthy, isAvailable, isCold, released, seenBack, sent, succeeded } from './ejection.ts';
import type { FailureKind } from './failure.ts';
import { type Candidate, fixedTokens } from './pick.ts';
import type { EndpointConfig } from './pool-config.ts';

/** What the monitor saw of an endpoint. */
export interface Observation {
  /** Milliseconds since the epoch. */
  at: number;
  /** False after several looks that found nobody; null when this is not known. */
  alive: boolean | null;
  /** Requests that wait and that run, of all gateways; null where the server does not tell. */
  waiting: number | null;
  running: number | null;
  /** Part of the KV cache in use, 0..1. */
  kvUse: number | null;
  /** Mean time to first token lately, milliseconds. */
  ttftMs: number | null;
}

/** A request that is with an endpoint. */
export interface Flight {
  promptTokens: number;
  /** Tokens to be evaluated before its own, when it was sent. */
  queuedTokens: number;
  startedAt: number;
  /** It is a stream: until its first token its age tells how slow the endpoint is at least. */
  stream: boolean;
  waiting: boolean;
  /** It was sent while the endpoint was out: its success brings the endpoint back, that of earlier ones says nothing new. */
  whileOut: boolean;
}

/** Milliseconds per prompt token before anything is known of anyone: about 2,000 tokens a second. Only differences between endpoints matter. */
export const priorSlowness = 0.5;
/** Tokens of a prompt before there was any; from then on others' prompts are taken to be as long as ours. */
const firstTypicalTokens = 512;
/** What was seen loses half of its weight in so many milliseconds. */
const observationHalfLife = 5_000;
const slownessHalfLife = 5_000;
/** What was measured so long ago says nothing about the others any more, milliseconds. */
const slownessLifetime = 60_000;
/** Weight of the newest sample. */
const smoothing = 0.2;
/** With fewer samples an endpoint is not called slow. */
const samplesToJudge = 10;

/** An endpoint as this isolate knows it: what it has in flight there, how fast that was, and what the monitor says. Times are milliseconds since the epoch. */
export class Endpoint {
  readonly config: EndpointConfig;
  #health: Health = healthy;
  readonly #flights = new Set<Flight>();
  #slowness = priorSlowness;
  #samples = 0;
  #sampledAt = 0;
  #pausedUntil = 0;
  #typicalTokens = 0;
  #seen: Observation | null = null;
  #hangs = false;
  #answeredAt = 0;

  constructor(config: EndpointConfig) {
    this.config = config;
  }

  get health(): Health {
    return this.#health;
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** When a first token, or a whole answer, came from there for the last time; 0 before the first. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  /** For how long the oldest stream there has been waiting for its first token, milliseconds; 0 for none. */
  longestWait(now: number): number {
    const waiting = [...this.#flights].filter(({ stream, waiting }) => stream && waiting);
    return Math.max(0, ...waiting.map(({ startedAt }) => now - startedAt));
  }

  /** Some request there has its first token and not its last. */
  get isAnswering(): boolean {
    return [...this.#flights].some(({ waiting }) => !waiting);
  }

  /** What the monitor saw last; null before it has said anything. */
  get seen(): Observation | null {
    return this.#seen;
  }

  isAvailable(now: number): boolean {
    return isAvailable(this.#health, now);
  }

  isCold(now: number): boolean {
    return isCold(this.#health, now);
  }

  /** What failed last there was too slow, and nothing has come since. */
  get hangs(): boolean {
    return this.#hangs;
  }

  /** It has asked for a pause that is not over: milliseconds left, or 0. */
  pause(now: number): number {
    return Math.max(0, this.#pausedUntil - now);
  }

  /** The monitor has found nobody there several times, and not long ago. It is only avoided for that: no more than a scrape has failed. */
  looksDead(now: number): boolean {
    return this.#seen?.alive === false && this.#freshness(now) > 0.25;
  }

  /** What the choice goes by. */
  candidate(now: number, region: string | null, prior: number): Candidate {
    const { name, weight, priority } = this.config;
    const near = this.config.region === null || this.config.region === region;
    const [slowness, queuedTokens] = [this.slowness(now, prior), this.queuedTokens(now)];
    return { name, weight, priority, near, slowness, queuedTokens, full: this.isFull(now) };
  }

  /**
   * Milliseconds per prompt token: as measured, or as those who wait for their first token see it already, if that is more. So a server that has stopped, or whose
   * slots others hold, is left long before a timeout says so.
   * @param prior as for `#estimate`
   */
  slowness(now: number, prior: number = priorSlowness): number {
    let slowness = this.#estimate(now, prior);
    for (const flight of this.#flights) if (flight.stream && flight.waiting) slowness = Math.max(slowness, slownessOf(flight, now));
    return slowness;
  }

  /**
   * What was measured decays to what is assumed of an endpoint nobody knows.
   * @param prior that assumption
   */
  #estimate(now: number, prior: number): number {
    const weight = this.#samples === 0 ? 0 : halved(now - this.#sampledAt, slownessHalfLife);
    const { ttftMs, at } = this.#seen ?? { ttftMs: null, at: 0 };
    const observed = ttftMs === null ? prior : ttftMs / (fixedTokens + (this.#typicalTokens || firstTypicalTokens));
    const assumed = prior + (observed - prior) * halved(now - at, observationHalfLife);
    return assumed + (this.#slowness - assumed) * weight;
  }

  /** Milliseconds per prompt token as measured lately, or null. */
  measuredSlowness(now: number): number | null {
    return this.#samples > 0 && now - this.#sampledAt < slownessLifetime ? this.#slowness : null;
  }

  /** For a comparison with its peers; NaN while too little is known. */
  judgedSlowness(now: number, prior: number): number {
    return this.#samples >= samplesToJudge ? this.#estimate(now, prior) : Number.NaN;
  }

  /** Prompt tokens that wait there: our own, and those of other gateways as the monitor last saw them. */
  queuedTokens(now: number): number {
    let own = 0;
    let seenOfOwn = 0;
    for (const flight of this.#flights) {
      if (!flight.waiting) continue;
      own += flight.promptTokens;
      if (flight.startedAt < (this.#seen?.at ?? 0)) seenOfOwn++;
    }
    const others = Math.max(0, (this.#seen?.waiting ?? 0) - seenOfOwn);
    return own + others * (this.#typicalTokens || firstTypicalTokens) * this.#freshness(now);
  }

  /** A request sent now would wait for others' whole answers. */
  isFull(now: number): boolean {
    if (this.pause(now) > 0) return true;
    if (this.#freshness(now) < 0.25 || !this.#seen?.waiting) return false;
    // llama-server has slots; the others run as many as their KV cache holds.
    return this.config.kind === 'llama-server' || (this.#seen.kvUse ?? 0) > 0.9;
  }

  /** A request is on its way there. */
  sent(promptTokens: number, now: number, stream = false): Flight {
    const whileOut = this.#health.outUntil !== 0;
    const flight = { promptTokens, queuedTokens: this.queuedTokens(now), startedAt: now, stream, waiting: true, whileOut };
    this.#flights.add(flight);
    this.#typicalTokens = this.#typicalTokens === 0 ? promptTokens : this.#typicalTokens + smoothing * (promptTokens - this.#typicalTokens);
    this.#health = sent(this.#health, now);
    return flight;
  }

  /**
   * Its first token is there, or its whole answer when that is all there is to see.
   * @param prior as for `slowness`
   */
  answered(flight: Flight, now: number, wasStream: boolean, prior: number = priorSlowness): void {
    flight.waiting = false;
    this.#answeredAt = now;
    if (this.#health.outUntil === 0 || flight.whileOut) this.#health = succeeded(this.#health, now);
    this.#pausedUntil = 0;
    this.#hangs = false;
    if (!wasStream) return;
    const sample = slownessOf(flight, now);
    // From what is left of what was known: an old figure must not come back to life with a new sample.
    const before = this.#estimate(now, prior);
    this.#slowness = this.#samples === 0 ? sample : before + smoothing * (sample - before);
    this.#samples++;
    this.#sampledAt = now;
  }

  /** It failed: whose fault that is decides what follows. */
  failed(kind: FailureKind, pauseMs: number | null, now: number): void {
    this.#hangs = kind === 'timeout';
    if (pauseMs !== null) this.#pausedUntil = Math.max(this.#pausedUntil, now + pauseMs);
    // Being busy is no failure: it is avoided while it asks for that.
    if (kind === 'overloaded') this.#health = released(this.#health);
    else this.#health = failed(this.#health, now, kind === 'unavailable');
  }

  /** Whatever came of it, the request is no longer there. */
  left(flight: Flight): void {
    if (this.#flights.delete(flight) && flight.waiting) this.#health = released(this.#health);
  }

  eject(now: number): void {
    this.#health = eject(this.#health, now);
    this.#samples = 0;
  }

  /** What the monitor says. A scrape that failed ejects nobody: only requests do. One that finds a server again lets a request try. */
  observe(seen: Observation): void {
    if (this.#seen?.alive === false && seen.alive) this.#health = seenBack(this.#health, seen.at);
    this.#seen = seen;
  }

  #freshness(now: number): number {
    return this.#seen ? halved(now - this.#seen.at, observationHalfLife) : 0;
  }
}

function slownessOf({ startedAt, queuedTokens, promptTokens }: Flight, now: number): number {
  return (now - startedAt) / (fixedTokens + queuedTokens + promptTokens);
}

function halved(age: number, halfLife: number): number {
  return 2 ** (-Math.max(0, age) / halfLife);
}
