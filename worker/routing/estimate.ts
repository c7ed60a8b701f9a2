import type { EdgeEstimate, EdgeState, OriginEstimate, OriginState } from './estimates.ts';
import type { EdgeFigures, EdgePrice, OriginFigures, OriginPrice, Snapshot, Spread } from './figures.ts';
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
  gpuWarmth: 0.97,
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
const halfLives = { load: 5_000, rate: 600_000, traffic: 600_000, cold: 30_000, edgeWarm: 90_000, keptUp: 300_000 };

/** Clocks of other machines may be ahead by so much; figures from later than that are not believed. */
const clockSkewMs = 5_000;

/**
 * The edge as it is expected to be now. A figure that is no number, or that no such engine can have, is as good as absent; one that is wrong and believable loses
 * half of its weight per half-life, as all do.
 * @param now milliseconds since the epoch
 */
export function estimateEdge(state: EdgeState, traits: EdgeTraits, snapshot: Snapshot<EdgeFigures> | null, now: number): EdgeEstimate {
  const figures = believable(snapshot, now);
  const values = figures?.values ?? {};
  const age = figures?.age ?? 0;
  const rate = weightAt(age, halfLives.rate);
  const load = weightAt(age, halfLives.load);
  const slots = Math.max(1, blend(edgePriors.slots, values.slots, 1, 1_000, rate));
  const alone = decodeAlone(values);
  const prefill = geometric(edgePriors.prefill, values.prefill, 0.05, 50_000, rate);
  const decode = geometric(edgePriors.decode, alone, 0.05, 20_000, rate);
  return {
    model: state.model,
    refusal: state.refusal,
    prefill,
    decode,
    running: blend(0, values.running, 0, 1_000, load),
    queued: blend(0, values.queued, 0, 10_000, load),
    slots,
    serviceMs: within(values.serviceMs, 1, 600_000) ? values.serviceMs : null,
    warmth: warmthOf(values.warm, age),
    loadMs: geometric(edgePriors.loadMs, values.loadMs, 1, 300_000, rate),
    roundTripMs: geometric(edgePriors.roundTripMs, values.roundTripMs, 0.01, 10_000, rate),
    contextTokens: traits.contextTokens,
    escalationRate: blend(edgePriors.escalationRate, values.escalationRate, 0, 1, rate),
    ttftSpread: spread(values.ttftSpread, rate),
    totalSpread: spread(values.totalSpread, rate),
    price: traits.price,
    calibration: traits.calibration,
    measured: within(values.prefill, 0.05, 50_000) || within(values.decode, 0.05, 20_000),
  };
}

/** A pool as it is expected to be now; what cannot be believed is treated as by `estimateEdge`. */
export function estimateOrigin(
  state: OriginState,
  traits: OriginTraits,
  snapshot: Snapshot<OriginFigures> | null,
  now: number,
): OriginEstimate {
  const figures = believable(snapshot, now);
  const values = figures?.values ?? {};
  const age = figures?.age ?? 0;
  const rate = weightAt(age, halfLives.rate);
  const load = weightAt(age, halfLives.load);
  const traffic = weightAt(age, halfLives.traffic);
  const { price } = traits;
  const slots = Math.max(1, blend(price.by === 'gpu-hour' ? price.slots : originPriors.slots, values.slots, 1, 100_000, rate));
  const saturated = values.saturated === true ? load : 0;
  const waiting = blend(0, values.waiting, 0, 100_000, load);
  const use = blend(originPriors.use, values.use ?? runningShare(values, slots), 0, 1, load);
  return {
    model: state.model,
    failure: state.failure,
    roundTripMs: geometric(originPriors.roundTripMs, values.roundTripMs, 0.01, 60_000, rate),
    ttftBaseMs: geometric(originPriors.ttftBaseMs, values.ttftBaseMs, 1, 120_000, rate),
    ttftMsPerToken: blend(originPriors.ttftMsPerToken, values.ttftMsPerToken, 0, 100, rate),
    tpotMs: geometric(originPriors.tpotMs, values.tpotMs, 0.1, 10_000, rate),
    // Whoever is full makes us wait for one answer to end at least.
    waiting: Math.max(waiting, saturated),
    slots,
    serviceMs: within(values.serviceMs, 1, 600_000) ? values.serviceMs : null,
    use: Math.max(use, saturated),
    warmth: originWarmth(values.cold, age, price),
    committedPerSecond: blend(originPriors.committedPerSecond, values.committedPerSecond, 0, 100_000, traffic),
    freePerSecond: blend(originPriors.freePerSecond, values.freePerSecond, 0, 100_000, traffic),
    ttftSpread: spread(values.ttftSpread, rate),
    totalSpread: spread(values.totalSpread, rate),
    price,
    startSeconds: price.by === 'gpu-hour' ? price.startSeconds : 0,
    contextTokens: traits.contextTokens,
    regions: traits.regions,
    quality: Math.min(1, Math.max(0, traits.quality)),
    measured: within(values.tpotMs, 0.1, 10_000) || within(values.ttftBaseMs, 1, 120_000),
  };
}

function believable<T>(snapshot: Snapshot<T> | null, now: number): { values: T; age: number } | null {
  if (!snapshot || typeof snapshot.values !== 'object' || snapshot.values === null) return null;
  const age = now - snapshot.asOf;
  return age >= -clockSkewMs ? { values: snapshot.values, age: Math.max(0, age) } : null;
}

const weightAt = (age: number, halfLife: number): number => 2 ** (-age / halfLife);

function within(value: unknown, low: number, high: number): value is number {
  return typeof value === 'number' && value >= low && value <= high;
}

/** Between the prior and the figure, by the figure's weight. */
function blend(prior: number, value: unknown, low: number, high: number, weight: number): number {
  return within(value, low, high) ? prior + (value - prior) * weight : prior;
}

/** The same in the logarithm, for what differs by factors. */
function geometric(prior: number, value: unknown, low: number, high: number, weight: number): number {
  return within(value, low, high) ? prior * (value / prior) ** weight : prior;
}

/** The rate of a session that is alone, from one measured while several shared the turns. */
function decodeAlone({ decode, decodeBatch }: EdgeFigures): number | null {
  if (!within(decode, 0.05, 20_000)) return null;
  return decode * turnFactor(within(decodeBatch, 1, 1_000) ? decodeBatch : 1);
}

function runningShare({ running }: OriginFigures, slots: number): number | null {
  return within(running, 0, 1e6) ? Math.min(1, running / slots) : null;
}

/** Weights that are loaded stay for a minute or two without calls; what is not loaded may have been by now. */
function warmthOf(warm: unknown, age: number): number {
  if (typeof warm !== 'boolean') return edgePriors.warmth;
  return blend(edgePriors.warmth, warm ? 1 : 0, 0, 1, weightAt(age, halfLives.edgeWarm));
}

/** A service that bills tokens is there; a GPU that is scaled to zero may be gone by now, and one that was not there may be started. */
function originWarmth(cold: unknown, age: number, price: OriginPrice): number {
  const prior = price.by === 'gpu-hour' && price.keepSeconds !== null ? originPriors.gpuWarmth : originPriors.serviceWarmth;
  if (typeof cold !== 'boolean') return prior;
  return blend(prior, cold ? 0 : 1, 0, 1, weightAt(age, cold ? halfLives.cold : halfLives.keptUp));
}

function spread(value: Spread | null | undefined, weight: number): Spread {
  if (!value || !within(value.p50, 0.2, 5) || !within(value.p95, value.p50, 20)) return priorSpread;
  return { p50: geometric(priorSpread.p50, value.p50, 0.2, 5, weight), p95: geometric(priorSpread.p95, value.p95, 0.2, 20, weight) };
}
