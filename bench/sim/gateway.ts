import type { EdgeDirectory } from '../../worker/edge/directory.ts';
import { Knowledge } from '../../worker/knowledge.ts';
import type { Endpoint } from '../../worker/origin/endpoint.ts';
import { Pool } from '../../worker/origin/pool.ts';
import { autoModel } from '../../worker/routing/decide.ts';
import type { Estimates } from '../../worker/routing/estimates.ts';
import type { EdgeFigures, GpuPrice, Outcome, Snapshot } from '../../worker/routing/figures.ts';
import { type Decision, type Features, type Limits, plainFeatures } from '../../worker/routing/types.ts';
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

/** The monitor looks at the nodes so often while there are requests (NEARSIDE_ORIGIN_POLL_MS). */
const pollMs = 1_500;

/** One isolate of the gateway: what it has seen itself, and the decision for each request by that. */
export class SimGateway {
  readonly world: World;
  readonly limits: Limits;
  /** The gateway's own books about the nodes, and its choice among them (worker/origin). */
  readonly pool: Pool;
  /** What it knows (worker/knowledge.ts), and what each replica said last. */
  readonly #knowledge: Knowledge;
  readonly edgeSeen: (Snapshot<EdgeFigures> | null)[];
  #polledAt = Number.NEGATIVE_INFINITY;

  constructor(world: World) {
    this.world = world;
    const { edge, origin } = world.scenario;
    this.limits = { edgeMaxPromptTokens: edge.maxPromptTokens, edgeMaxTokens: edge.maxTokens };
    this.edgeSeen = world.replicas.map(() => null);
    this.#knowledge = new Knowledge(edgePriceOf(edge));
    const timeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
    const endpoints = Array.from({ length: world.pool.endpoints }, (_, i) => endpointConfig(`gpu-${i}`, gpuPrice(origin)));
    const quality = configuredOriginQuality;
    this.pool = new Pool({ model: originModel, endpoints, fallback: [], timeouts, retries: 2, hedging: false, quality }, null);
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
  remember({ key: caller, kind }: SimRequest, decision: Decision): void {
    this.#knowledge.decided(decision, { caller, kind }, this.world.clock.now);
  }

  learn(outcome: Outcome): void {
    this.#knowledge.learn(outcome);
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

  /** As worker/features.ts has them, of a text whose length in tokens is estimated rightly. */
  #features(request: SimRequest): Features {
    const { key: caller, kind, promptTokens, maxTokens, stream, originOnly, judgement } = request;
    return {
      ...plainFeatures,
      model: autoModel,
      promptBytes: promptTokens * 4,
      estimatedTokens: promptTokens,
      maxTokens,
      maxTokensParam: 'max_tokens',
      obstacles: originOnly ? [{ reason: 'tools', param: 'tools' }] : [],
      thinking: false,
      toolHistory: false,
      stream,
      kind,
      difficulty: { weakFails: 1 - judgement.estimate, strongHelps: 0 },
      previousRoute: this.#knowledge.previousRoute({ caller, kind }, this.world.clock.now),
    };
  }

  #estimates({ key: caller }: SimRequest, replica: number, { kind }: Features): Estimates {
    const { now } = this.world.clock;
    this.#poll(now);
    const said = {
      contextTokens: null,
      calibration: simulatedCalibration(this.world.scenario.edge.gate),
      figures: this.edgeSeen[replica]!,
    };
    const edge = { directory: said as unknown as EdgeDirectory, state: { model: edgeModel, refusal: null } };
    return this.#knowledge.estimates(edge, [this.pool], { caller, kind }, now);
  }

  /** The monitor's look at the endpoints. Who does not answer is alive for all that it knows until several looks have failed. */
  #poll(now: number): void {
    if (now - this.#polledAt < pollMs) return;
    this.#polledAt = now;
    const { pool } = this.world;
    const there = !pool.isDead && !pool.isCold;
    const nothing = { waiting: null, running: null, kvUse: null };
    this.pool.endpoints.forEach((endpoint, i) => {
      endpoint.observe({ at: now, alive: there, ...(there ? pool.loadOf(i) : nothing), ttftMs: null });
    });
  }
}

function endpointConfig(name: string, price: GpuPrice) {
  const nothing = { region: null, price, context: null, modalities: null, key: null, binding: null };
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
