import type { EdgeEstimate, EdgeState, OriginEstimate, OriginState } from './estimates.ts';
import type { EdgeFigures, EdgePrice, OriginFigures, OriginPrice, Seen, Spread } from './figures.ts';
import { turnFactor } from './timing.ts';
import type { Calibration, Quantiles } from './types.ts';

/** What is configured of the edge. */
export interface EdgeTraits {
  price: EdgePrice;
  /** Prompt and answer together; null when not known. */
  contextTokens: number | null;
  calibration: Calibration | null;
}

/** What is configured of a pool. */
export interface OriginTraits {
  price: OriginPrice;
  contextTokens: number | null;
  /** Of its nodes. */
  regions: (string | null)[];
  /** 1 for the model that the others are judged by. */
  quality: number;
}

/** Qwen3.5-0.8B on one core of a server, as measured for docs/decisions/0001-own-kernels.md: 32 + 16 tokens take 2.4 s. */
export const edgePriors = { prefill: 30, decode: 12, slots: 4, warmth: 0.5, loadMs: 1_500, roundTripMs: 5, escalationRate: 0.1 } as const;

/** A 9B model on one GPU in the same part of the world, little used. Between 0.9 and 1 lies whether such a GPU is there at all. */
export const originPriors = {
  roundTripMs: 60,
  ttftBaseMs: 120,
  ttftMsPerToken: 0.15,
  tpotMs: 20,
  slots: 32,
  use: 0.1,
  gpuWarmth: 0.98,
  serviceWarmth: 0.999,
  committedPerSecond: 0,
  /** 100 an hour. */
  freePerSecond: 100 / 3600,
} as const;

/**
 * Tokens of an answer to a request of which nothing is known: between the two public traces of chat traffic, Azure 2023 (Splitwise, ISCA 2024; median 129, 95th
 * percentile 451) and Mooncake (FAST 2025; 350 and 698).
 */
export const answerPrior: Quantiles = { p50: 150, p95: 600 };

/** Before anything is learnt, a prediction may be off by so much. */
const priorSpread: Spread = { p50: 1, p95: 2 };

/** After so many milliseconds, half of a figure's weight has gone to its prior. Loads change in seconds, rates with deployments. */
const halfLives = {
  load: 5_000,
  rate: 600_000,
  traffic: 600_000,
  cold: 30_000,
  edgeWarm: 90_000,
  keptUp: 300_000,
  letGo: 30_000,
  asleep: 21_600_000,
};

/** Clocks of other machines may be ahead by so much; figures from later than that are not believed. */
const clockSkewMs = 5_000;

/**
 * The edge as it is expected to be now. A figure that is no number, or that no such engine can have, is as good as absent; one that is wrong and believable loses
 * half of its weight per half-life, as all do.
 * @param now milliseconds since the epoch
 */
export function estimateEdge(state: EdgeState, traits: EdgeTraits, seen: Seen<EdgeFigures>, now: number): EdgeEstimate {
  const figures = dated(seen, now);
  const { rate, load } = halfLives;
  const prefill = find(figures, 'prefill', 0.05, 50_000);
  const decode = decodeAlone(figures);
  const slots = find(figures, 'slots', 1, 1_000);
  return {
    model: state.model,
    refusal: state.refusal,
    prefill: geometric(edgePriors.prefill, prefill, rate),
    decode: geometric(edgePriors.decode, decode, rate),
    running: linear(0, find(figures, 'running', 0, 1_000), load),
    queued: linear(0, find(figures, 'queued', 0, 10_000), load),
    slots: linear(edgePriors.slots, slots, rate),
    serviceMs: find(figures, 'serviceMs', 1, 600_000)?.value ?? null,
    warmth: probability(edgePriors.warmth, findFlag(figures, 'warm'), halfLives.edgeWarm, halfLives.edgeWarm),
    loadMs: geometric(edgePriors.loadMs, find(figures, 'loadMs', 1, 300_000), rate),
    roundTripMs: geometric(edgePriors.roundTripMs, find(figures, 'roundTripMs', 0.01, 10_000), rate),
    contextTokens: traits.contextTokens,
    escalationRate: linear(edgePriors.escalationRate, find(figures, 'escalationRate', 0, 1), rate),
    ttftSpread: findSpread(figures, 'ttftSpread'),
    totalSpread: findSpread(figures, 'totalSpread'),
    price: traits.price,
    calibration: traits.calibration,
    measured: prefill !== null || decode !== null,
  };
}

/** A pool as it is expected to be now; what cannot be believed is treated as by `estimateEdge`. */
export function estimateOrigin(state: OriginState, traits: OriginTraits, seen: Seen<OriginFigures>, now: number): OriginEstimate {
  const figures = dated(seen, now);
  const { rate, load, traffic } = halfLives;
  const { price } = traits;
  const isGpu = price.by === 'gpu-hour';
  const slots = linear(isGpu ? price.slots : originPriors.slots, find(figures, 'slots', 1, 100_000), rate);
  const saturated = linear(0, findFlag(figures, 'saturated'), load);
  const tpot = find(figures, 'tpotMs', 0.1, 10_000);
  const ttftBase = find(figures, 'ttftBaseMs', 1, 120_000);
  const idleMs = lastOf(figures, 'busy');
  return {
    model: state.model,
    failure: state.failure,
    roundTripMs: geometric(originPriors.roundTripMs, find(figures, 'roundTripMs', 0.01, 60_000), rate),
    ttftBaseMs: geometric(originPriors.ttftBaseMs, ttftBase, rate),
    ttftMsPerToken: linear(originPriors.ttftMsPerToken, find(figures, 'ttftMsPerToken', 0, 100), rate),
    tpotMs: geometric(originPriors.tpotMs, tpot, rate),
    // Whoever is full makes us wait for one answer to end at least.
    waiting: Math.max(linear(0, find(figures, 'waiting', 0, 100_000), load), saturated),
    slots,
    serviceMs: find(figures, 'serviceMs', 1, 600_000)?.value ?? null,
    use: Math.max(linear(originPriors.use, useOf(figures, slots), load), saturated),
    warmth: warmthOf(figures, isGpu ? price.keepSeconds : null, idleMs),
    idleMs,
    out: probability(0, findFlag(figures, 'out'), load, load) > 0.5,
    hanging: probability(0, findFlag(figures, 'hanging'), load, load) > 0.5,
    committedPerSecond: linear(originPriors.committedPerSecond, find(figures, 'committedPerSecond', 0, 100_000), traffic),
    freePerSecond: linear(originPriors.freePerSecond, find(figures, 'freePerSecond', 0, 100_000), traffic),
    ttftSpread: findSpread(figures, 'ttftSpread'),
    totalSpread: findSpread(figures, 'totalSpread'),
    price,
    startSeconds: isGpu ? price.startSeconds : 0,
    contextTokens: traits.contextTokens,
    regions: traits.regions,
    quality: Math.min(1, Math.max(0, traits.quality)),
    measured: tpot !== null || ttftBase !== null,
  };
}

/**
 * Probability that a node is up. A service that bills tokens is there; a GPU that is scaled to zero is there while it is kept after its last request, may be gone then,
 * as often as it was found to be, and may have been started since it was seen not to be there.
 * @param keepSeconds null for one that is not scaled to zero
 */
function warmthOf(figures: Dated<OriginFigures>[], keepSeconds: number | null, idleMs: number | null): number {
  const sleepy = linear(1 - originPriors.gpuWarmth, find(figures, 'asleep', 0, 1), halfLives.asleep);
  const prior = keepSeconds === null ? 1 - originPriors.serviceWarmth : sleepy;
  const seen = findFlag(figures, 'cold');
  const cold = probability(prior, seen, halfLives.cold, halfLives.keptUp);
  if (seen?.value === 1 || idleMs === null) return 1 - cold;
  const age = Math.max(0, idleMs - 1000 * (keepSeconds ?? 0));
  return 1 - Math.min(cold, linear(prior, { value: 0, age }, halfLives.letGo));
}

interface Dated<T> {
  values: T;
  /** Milliseconds. */
  age: number;
}

interface Found {
  value: number;
  age: number;
}

/** Snapshots with their ages. One from the future, or from no time at all, would never grow old: it is left out. */
function dated<T>(seen: Seen<T>, now: number): Dated<T>[] {
  const found: Dated<T>[] = [];
  for (const snapshot of Array.isArray(seen) ? seen : [seen]) {
    if (!snapshot || typeof snapshot.values !== 'object' || snapshot.values === null) continue;
    const age = now - snapshot.asOf;
    if (age >= -clockSkewMs) found.push({ values: snapshot.values, age: Math.max(0, age) });
  }
  return found;
}

/** The first figure of that name that lies within what is possible. */
function find<T>(figures: Dated<T>[], name: keyof T, low: number, high: number): Found | null {
  for (const { values, age } of figures) {
    const value: unknown = values[name];
    if (isWithin(value, low, high)) return { value, age };
  }
  return null;
}

/** The same of what is true (1) or false (0). */
function findFlag<T>(figures: Dated<T>[], name: keyof T): Found | null {
  for (const { values, age } of figures) {
    const value: unknown = values[name];
    if (typeof value === 'boolean') return { value: value ? 1 : 0, age };
  }
  return null;
}

/** For how long it has not been so, as far as anyone says; null where nobody says that it was. */
function lastOf<T>(figures: Dated<T>[], name: keyof T): number | null {
  const ages = figures.flatMap(({ values, age }) => (values[name] === true ? [age] : []));
  return ages.length > 0 ? Math.min(...ages) : null;
}

function findSpread<T extends { ttftSpread?: Spread | null; totalSpread?: Spread | null }>(
  figures: Dated<T>[],
  name: 'ttftSpread' | 'totalSpread',
): Spread {
  for (const { values, age } of figures) {
    const value = values[name];
    if (!value || !isWithin(value.p50, 0.2, 5) || !isWithin(value.p95, value.p50, 20)) continue;
    const { rate } = halfLives;
    return {
      p50: geometric(priorSpread.p50, { value: value.p50, age }, rate),
      p95: geometric(priorSpread.p95, { value: value.p95, age }, rate),
    };
  }
  return priorSpread;
}

/** The rate of a session that is alone, from one measured while several shared the turns. */
function decodeAlone(figures: Dated<EdgeFigures>[]): Found | null {
  for (const { values, age } of figures) {
    const { decode, decodeBatch } = values;
    if (isWithin(decode, 0.05, 20_000)) return { value: decode * turnFactor(isWithin(decodeBatch, 1, 1_000) ? decodeBatch : 1), age };
  }
  return null;
}

function useOf(figures: Dated<OriginFigures>[], slots: number): Found | null {
  const use = find(figures, 'use', 0, 1);
  if (use) return use;
  const running = find(figures, 'running', 0, 1e6);
  return running && { value: Math.min(1, running.value / slots), age: running.age };
}

function isWithin(value: unknown, low: number, high: number): value is number {
  return typeof value === 'number' && value >= low && value <= high;
}

/** Between the prior and the figure, by the figure's age. */
function linear(prior: number, found: Found | null, halfLife: number): number {
  return found ? prior + (found.value - prior) * 2 ** (-found.age / halfLife) : prior;
}

/** The same in the logarithm, for what differs by factors. */
function geometric(prior: number, found: Found | null, halfLife: number): number {
  return found ? prior * (found.value / prior) ** (2 ** (-found.age / halfLife)) : prior;
}

/** The probability that it is so now, when it was seen to be so (or not). */
function probability(prior: number, found: Found | null, halfLifeIfSo: number, halfLifeIfNot: number): number {
  return linear(prior, found, found?.value === 1 ? halfLifeIfSo : halfLifeIfNot);
}
