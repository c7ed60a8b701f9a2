import type { Endpoint } from '../../worker/origin/endpoint.ts';
import { Pool } from '../../worker/origin/pool.ts';
import { estimateAnswer } from '../../worker/routing/answer-lengths.ts';
import { autoModel } from '../../worker/routing/decide.ts';
import { type EdgeTraits, estimateEdge, estimateOrigin, type OriginTraits } from '../../worker/routing/estimate.ts';
import type { Estimates } from '../../worker/routing/estimates.ts';
import type { EdgeFigures, GpuPrice, OriginFigures, Snapshot } from '../../worker/routing/figures.ts';
import { type Learned, learn, learnedEdge, learnedOrigin, nothingLearned } from '../../worker/routing/learning.ts';
import { type Decision, type Features, type Limits, plainFeatures, type Route } from '../../worker/routing/types.ts';
import { Attempt, type Course } from './attempt.ts';
import type { Clock } from './clock.ts';
import type { EdgeReplica } from './edge-replica.ts';
import type { GpuPool } from './gpu-pool.ts';
import { configuredOriginQuality, simulatedCalibration } from './quality.ts';
import type { SimRequest } from './request.ts';
import type { Router } from './routers.ts';
import { edgePriceOf, type Scenario, scalesToZero } from './scenario.ts';

/** What all gateways of a simulation share. */
export interface World {
  clock: Clock;
  scenario: Scenario;
  replicas: EdgeReplica[];
  pool: GpuPool;
  router: Router;
}

export const edgeModel = 'edge';
export const originModel = 'origin';

/** What was seen of a route some time ago says nothing about flapping, milliseconds. */
const routeMemoryMs = 60_000;
/** The monitor looks at the nodes so often while there are requests (NEARSIDE_ORIGIN_POLL_MS). */
const pollMs = 1_500;

/** One isolate of the gateway: what it has seen itself, and the decision for each request by that. */
export class SimGateway {
  readonly world: World;
  readonly limits: Limits;
  /** The gateway's own books about the nodes, and its choice among them (worker/origin). */
  readonly pool: Pool;
  learned: Learned = nothingLearned;
  readonly edgeSeen: (Snapshot<EdgeFigures> | null)[];
  #originSeen: Snapshot<OriginFigures> | null = null;
  /** Tokens of a key's prompts that the edge had already. */
  readonly cachedTokens = new Map<string, number>();
  readonly #routes = new Map<string, { route: Route; at: number }>();
  readonly #traits: { edge: EdgeTraits; origin: OriginTraits };

  constructor(world: World) {
    this.world = world;
    const { edge, origin } = world.scenario;
    this.limits = { edgeMaxPromptTokens: edge.maxPromptTokens, edgeMaxTokens: edge.maxTokens };
    this.edgeSeen = world.replicas.map(() => null);
    const timeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
    const endpoints = Array.from({ length: world.pool.endpoints }, (_, i) => endpointConfig(`gpu-${i}`));
    this.pool = new Pool({ model: originModel, endpoints, fallback: [], timeouts, retries: 2, hedging: false }, null);
    this.#traits = {
      edge: { price: edgePriceOf(edge), contextTokens: null, calibration: simulatedCalibration(edge.gate) },
      origin: { price: gpuPrice(origin), contextTokens: null, regions: [null], quality: configuredOriginQuality },
    };
  }

  /** @param done is called once, with what came of it */
  handle(request: SimRequest, index: number, done: (course: Course) => void): void {
    const replica = this.#replicaFor(request, index);
    const features = this.#features(request);
    new Attempt(this, { request, index, features, replica, estimates: this.#estimates(request, replica, features) }, done).go();
  }

  decide(features: Features, estimates: Estimates, index: number): Decision {
    const { router } = this.world;
    return router.decide(features, estimates, this.limits, index);
  }

  /** The decision of a request that both routes could take, for hysteresis. */
  remember({ key, kind }: SimRequest, decision: Decision): void {
    if (decision.route !== 'none' && decision.runnerUp)
      this.#routes.set(`${kind} ${key}`, { route: decision.route, at: this.world.clock.now });
  }

  learn(outcome: Parameters<typeof learn>[1]): void {
    this.learned = learn(this.learned, outcome);
  }

  endpointIndex(endpoint: Endpoint): number {
    return this.pool.endpoints.indexOf(endpoint);
  }

  #replicaFor({ key }: SimRequest, index: number): number {
    const { replicas } = this.world;
    if (replicas.length === 1) return 0;
    // Of two, the one that was heard to have less to do; a key's requests keep to the same two, for their prefix.
    const [a, b] = [hashOf(key) % replicas.length, (hashOf(`${key}'`) + index) % replicas.length];
    const load = (i: number) => (this.edgeSeen[i]?.values.queued ?? 0) + (this.edgeSeen[i]?.values.running ?? 0);
    return load(b) < load(a) ? b : a;
  }

  #features(request: SimRequest): Features {
    const { key, kind, promptTokens, maxTokens, stream, originOnly, judgement } = request;
    const before = this.#routes.get(`${kind} ${key}`);
    return {
      ...plainFeatures,
      model: autoModel,
      promptBytes: promptTokens * 4,
      maxTokens,
      maxTokensParam: 'max_tokens',
      obstacles: originOnly ? [{ reason: 'tools', param: 'tools' }] : [],
      thinking: false,
      toolHistory: false,
      promptTokens,
      cachedTokens: Math.min(promptTokens - 1, this.cachedTokens.get(key) ?? 0),
      stream,
      kind,
      difficulty: { weakFails: 1 - judgement.estimate, strongHelps: 0 },
      previousRoute: before && this.world.clock.now - before.at < routeMemoryMs ? before.route : null,
    };
  }

  #estimates(request: SimRequest, replica: number, { kind }: Features): Estimates {
    const { now } = this.world.clock;
    this.#poll(now);
    const own = this.edgeSeen[replica] ?? null;
    const outcomes = learnedEdge(this.learned);
    const edge = estimateEdge(
      { model: edgeModel, refusal: null },
      this.#traits.edge,
      [own, outcomes].filter((seen) => seen !== null),
      now,
    );
    const seen = [this.#originSeen!, ...learnedOrigin(this.learned, originModel, now, this.world.scenario.origin.roundTripMs)];
    const origin = estimateOrigin({ model: originModel, failure: null }, this.#traits.origin, seen, now);
    return { edge, origins: [origin], answer: estimateAnswer(this.learned.lengths, request.key, kind) };
  }

  /** What the monitor last saw, of all nodes. */
  #poll(now: number): void {
    if (this.#originSeen && now - this.#originSeen.asOf < pollMs) return;
    const { pool, scenario } = this.world;
    this.pool.endpoints.forEach((endpoint, i) => {
      endpoint.observe({ at: now, alive: pool.isDead || pool.isCold ? false : null, ...pool.loadOf(i), ttftMs: null });
    });
    const up = pool.up.length;
    const there = pool.isDead
      ? {}
      : {
          waiting: pool.waiting,
          running: pool.running,
          slots: Math.max(1, up) * scenario.origin.slots,
          saturated: this.pool.isSaturated(now),
        };
    this.#originSeen = { asOf: now, values: { ...there, cold: pool.isCold ? true : pool.isDead ? null : false } };
  }
}

function endpointConfig(name: string) {
  const nothing = { region: null, price: null, context: null, modalities: null, key: null, binding: null };
  return { name, url: `http://${name}/v1`, kind: 'vllm' as const, model: originModel, weight: 1, priority: 0, ...nothing };
}

export function gpuPrice(origin: Scenario['origin']): GpuPrice {
  const { usdPerHour, slots, startSeconds, keepSeconds, minNodes, maxNodes } = origin;
  return {
    by: 'gpu-hour',
    usdPerHour,
    slots,
    startSeconds,
    keepSeconds: scalesToZero(origin) ? keepSeconds : null,
    scalesOut: maxNodes > Math.max(1, minNodes),
  };
}

const hashOf = (text: string): number => [...text].reduce((sum, char) => (Math.imul(sum, 31) + char.charCodeAt(0)) >>> 0, 7);
