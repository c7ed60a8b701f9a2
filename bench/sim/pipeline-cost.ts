import { LINGER_SECONDS, R2_USD_PER_READ } from '../../scripts/deploy/cost.ts';
import { estimateEdge, estimateOrigin } from '../../worker/routing/estimate.ts';
import type { EdgePrice } from '../../worker/routing/figures.ts';
import { edgeUsd, originUsd } from '../../worker/routing/money.ts';
import { edgePrices } from '../../worker/routing/prices.ts';
import { originTiming } from '../../worker/routing/timing.ts';
import { gpuPrice } from './gateway.ts';
import { scenarioSchema } from './scenario.ts';

/** All requests are alike. */
export interface RequestSize {
  promptTokens: number;
  answerTokens: number;
}

/** A plan for so many sessions, as far as money goes. */
export interface PlacedModel {
  /** Durable Objects: the engine's and one for each stage. */
  objects: number;
  /** Calls that a token waits for one after the other: each stage of layers, and the slices of the vocabulary, which are asked at once. */
  hops: number;
  /** Reads of R2 of a cold start, in all objects together. */
  reads: number;
}

/** Measured, of one core where nothing else is said. */
export interface CostRates {
  /** Tokens per second of a prompt. */
  prefill: number;
  /** Tokens per second of one answer alone, and of all answers together, where so many are made at once. */
  alone: number;
  together: number;
  /** A call to a stage and back, beside what the rates have in them, milliseconds. */
  hopMs: number;
  /** From a request to all stages loaded, milliseconds. */
  loadMs: number;
}

/** How requests come. */
export type Traffic =
  /** So many are always running: as one ends, the next begins. */
  | { kind: 'steady'; atOnce: number }
  /** One alone, now and then; each so long after the one before that connections are given up, or that everything has left the memory. */
  | { kind: 'seldom'; everySeconds: number; cold: boolean };

/** Of 1,000 tokens of answers, with the prompts that belong to them. */
export interface ThousandTokens {
  /** What the pipeline uses. Seconds: of all objects at once. */
  seconds: number;
  gbSeconds: number;
  requests: number;
  reads: number;
  /** US dollars: the pipeline; one Worker that may hold the model, by CPU time; a container; a GPU for this traffic alone, and its share of one that others fill. */
  pipeline: number;
  worker: number;
  container: number;
  gpuAlone: number;
  gpuShared: number;
}

/** For a container of half a processor, rates are half of a core's. */
const CONTAINER_SHARE = edgePrices.container.vcpus;

/** What 1,000 tokens cost in each place. Beyond what plans include; without the gateway's own request, which all places have alike. */
export function costOfThousand(size: RequestSize, model: PlacedModel, rates: CostRates, traffic: Traffic): ThousandTokens {
  const perThousand = 1000 / size.answerTokens;
  const steady = traffic.kind === 'steady';
  const cold = !steady && traffic.cold;
  const busyMs = pipelineMs(size, model, rates, steady ? traffic.atOnce : 1);
  const loadMs = cold ? rates.loadMs : 0;
  const heldMs = busyMs + loadMs + (steady ? 0 : LINGER_SECONDS.pipeline * 1000);
  // A steady stream never lets its connections go; later ones ask each stage once.
  const stageRequests = steady ? 0 : model.objects - 1;
  const reads = cold ? model.reads : 0;
  const object = edgePrices['durable-object'];
  const pipeline = usdAt({ ...object, objects: model.objects }, heldMs) + stageRequests * object.usdPerRequest + reads * R2_USD_PER_READ;
  const aloneMs = 1000 * (size.promptTokens / rates.prefill + size.answerTokens / rates.alone);
  const secondsBetween = steady ? busyMs / 1000 : traffic.everySeconds;
  return {
    seconds: (heldMs / 1000) * perThousand,
    gbSeconds: (heldMs / 1000) * object.gb * model.objects * perThousand,
    requests: (1 + stageRequests) * perThousand,
    reads: reads * perThousand,
    pipeline: pipeline * perThousand,
    worker: usdAt(edgePrices.worker, aloneMs + loadMs) * perThousand,
    container: containerUsd(pipelineMs(size, { ...model, hops: 0 }, rates, steady ? traffic.atOnce : 1), loadMs, steady) * perThousand,
    gpuAlone: gpuUsd(size, secondsBetween) * perThousand,
    gpuShared: gpuUsd(size, null) * perThousand,
  };
}

/** A request's share of the pipeline's time, where `atOnce` take turns together. */
function pipelineMs({ promptTokens, answerTokens }: RequestSize, { hops }: PlacedModel, rates: CostRates, atOnce: number): number {
  const turnMs = (1000 * atOnce) / (atOnce === 1 ? rates.alone : rates.together) + hops * rates.hopMs;
  return (1000 * promptTokens) / rates.prefill + hops * rates.hopMs + (answerTokens * turnMs) / atOnce;
}

/** What the router would charge a request for so much time of an engine that is there. */
function usdAt(price: EdgePrice, busyMs: number): number {
  const edge = estimateEdge({ model: 'edge', refusal: null }, { price, contextTokens: null, calibration: null }, null, 0);
  return edgeUsd({ ...edge, warmth: 1 }, busyMs).usd;
}

/** Processor time while it computes, memory for as long as it is awake, and the object in front of it. */
function containerUsd(coreMs: number, loadMs: number, steady: boolean): number {
  const workMs = (coreMs + loadMs) / CONTAINER_SHARE;
  const awakeMs = workMs + (steady ? 0 : LINGER_SECONDS.container * 1000);
  const { container } = edgePrices;
  const idle = usdAt({ ...container, vcpus: 0, usdPerRequest: 0 }, awakeMs - workMs);
  return usdAt(container, workMs) + idle + usdAt(edgePrices['durable-object'], awakeMs);
}

/** By the router's own reckoning. @param secondsBetween requests of this traffic alone, null: others fill the GPU */
function gpuUsd({ promptTokens, answerTokens }: RequestSize, secondsBetween: number | null): number {
  const { origin } = scenarioSchema.parse({ title: '', requestsPerSecond: 1 });
  const price = { ...gpuPrice({ ...origin, minNodes: secondsBetween === null ? 1 : 0 }), scalesOut: false };
  const pool = estimateOrigin({ model: 'origin', failure: null }, { price, contextTokens: null, regions: [], quality: 1 }, null, 0);
  const { busyMs } = originTiming(pool, promptTokens, { p50: answerTokens, p95: answerTokens });
  const freePerSecond = secondsBetween === null ? 0 : 1 / secondsBetween;
  const warmth = price.keepSeconds === null ? 1 : 1 - Math.exp(-freePerSecond * price.keepSeconds);
  const use = secondsBetween === null ? 1 : 0;
  return originUsd({ ...pool, warmth, use, committedPerSecond: 0, freePerSecond }, promptTokens, answerTokens, busyMs).usd;
}
