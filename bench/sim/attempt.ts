import type { FailureKind } from '../../worker/origin/failure.ts';
import type { Estimates } from '../../worker/routing/estimates.ts';
import type { Outcome } from '../../worker/routing/figures.ts';
import { gateVerdict } from '../../worker/routing/gate.ts';
import { wasAsleep } from '../../worker/routing/learning.ts';
import { isFree } from '../../worker/routing/rules.ts';
import type { Chosen, Expected, Features, Gate } from '../../worker/routing/types.ts';
import { edgeModel, originModel, type SimGateway } from './gateway.ts';
import { qualityAfterGate } from './quality.ts';
import type { SimRequest } from './request.ts';

/** What became of a request. */
export interface Course {
  request: SimRequest;
  /** Who answered; null: nobody. */
  route: 'edge' | 'origin' | null;
  ttftMs: number;
  totalMs: number;
  /** Probability that the answer is good enough; 0 where there is none, or it was cut off by the edge's own limit. */
  quality: number;
  /** The edge was asked and given up for its first tokens. */
  escalated: boolean;
  /** Routes that refused or failed before. */
  refusals: number;
}

interface Placed {
  request: SimRequest;
  index: number;
  features: Features;
  /** Index of the replica that would be asked. */
  replica: number;
  estimates: Estimates;
}

/** A route that is being asked. */
interface Run {
  route: 'edge' | 'origin';
  startedAt: number;
  cancel(): void;
}

/** One request on its way, as worker/gateway.ts places it: decided, asked, and decided again when a route refuses or fails before anything was sent. */
export class Attempt {
  readonly #gateway: SimGateway;
  readonly #placed: Placed;
  readonly #done: (course: Course) => void;
  readonly #startedAt: number;
  #runs: Run[] = [];
  /** The first byte has left: whose it is. */
  #sent: { route: 'edge' | 'origin'; at: number } | null = null;
  #escalated = false;
  #refusals = 0;
  /** As which traffic it counts: by its first decision. */
  #traffic: Pick<Outcome, 'pool' | 'free'> = { pool: null, free: false };
  #over = false;

  constructor(gateway: SimGateway, placed: Placed, done: (course: Course) => void) {
    this.#gateway = gateway;
    this.#placed = placed;
    this.#done = done;
    this.#startedAt = gateway.world.clock.now;
  }

  go(): void {
    const { features, estimates, index, request } = this.#placed;
    const decision = this.#gateway.decide(features, estimates, index);
    if (decision.route === 'none') {
      this.#end(null, 0);
      return;
    }
    if (this.#refusals === 0) {
      this.#gateway.remember(request, decision);
      this.#traffic = {
        pool: decision.expected.origin?.model ?? null,
        free: isFree(features, decision, this.#gateway.limits),
      };
    }
    const gate = decision.route === 'edge' ? decision.gate : null;
    const both = decision.race && decision.expected.edge !== null && decision.expected.origin !== null;
    if (decision.route === 'edge' || both) this.#askEdge(decision, both ? null : gate);
    if (decision.route === 'origin' || both) this.#askOrigin(decision);
  }

  #askEdge(decision: Chosen, gate: Gate | null): void {
    const { clock, scenario, replicas } = this.#gateway.world;
    const { request, replica } = this.#placed;
    const way = scenario.edge.roundTripMs / 2;
    const run: Run = { route: 'edge', startedAt: clock.now, cancel: () => {} };
    this.#runs.push(run);
    const seen = { cached: 0, disturbed: false, firstAt: 0, tokens: 0 };
    /** What the engine says arrives later. */
    const heard = (act: () => void) => {
      const values = { ...replicas[replica]!.figures, roundTripMs: scenario.edge.roundTripMs };
      clock.after(way, () => {
        this.#gateway.edgeSeen[replica] = { asOf: clock.now, values };
        if (this.#runs.includes(run)) act();
      });
    };
    const tell = (end: Outcome['end']) => {
      const ttftMs = request.stream && seen.firstAt > 0 ? seen.firstAt - run.startedAt : null;
      this.#learn(decision, run, {
        end,
        gated: gate !== null,
        ttftMs,
        completionTokens: seen.tokens,
        cachedTokens: seen.cached,
        undisturbed: !seen.disturbed,
      });
    };
    clock.after(way, () => {
      if (!this.#runs.includes(run)) return;
      if (request.promptTokens > scenario.edge.maxPromptTokens) return heard(() => this.#failed(run, 'prompt_too_long'));
      const job = replicas[replica]!.submit(request, {
        started: (cachedTokens, queueMs, cold) => {
          Object.assign(seen, { cached: cachedTokens, disturbed: cold || queueMs > 0 });
          heard(() => {});
        },
        token: (tokens) => {
          const last = tokens >= Math.min(request.outputTokens, request.maxTokens ?? scenario.edge.maxTokens);
          // Nothing hangs on a token between the first and the last.
          if (this.#sent && !last) return;
          clock.after(way, () => {
            if (!this.#runs.includes(run)) return;
            seen.tokens = tokens;
            seen.firstAt ||= clock.now;
            const verdict = gate && !this.#sent ? this.#judge(gate, tokens, last) : 'accept';
            if (verdict === 'escalate') {
              tell('escalated');
              this.#escalated = true;
              return this.#failed(run, 'low_gate');
            }
            if (verdict === 'accept') this.#first(run);
          });
        },
        finished: () =>
          heard(() => {
            const cut = request.maxTokens === null && request.outputTokens > scenario.edge.maxTokens;
            tell(cut || seen.tokens === request.maxTokens ? 'length' : 'stop');
            const { judgement } = request;
            this.#end(run, cut ? 0 : gate ? qualityAfterGate(judgement) : judgement.edge);
          }),
      });
      if (job) run.cancel = job.cancel;
      else heard(() => this.#failed(run, 'queue_full'));
    });
  }

  /** The answer's least sure token is one of the first, at a place that the request's number decides. */
  #judge(gate: Gate, tokens: number, finished: boolean): 'accept' | 'escalate' | 'wait' {
    const { request, index } = this.#placed;
    const length = Math.min(gate.tokens, request.outputTokens);
    const sign = request.judgement.sign;
    const seen = Array.from({ length: Math.min(tokens, gate.tokens) }, (_, i) => ({
      logprob: i === index % length ? sign : Math.max(sign, 3),
      margin: null,
    }));
    return gateVerdict({ tokens: seen, text: '', finished }, gate);
  }

  #askOrigin(decision: Chosen): void {
    const { clock, scenario, pool: nodes } = this.#gateway.world;
    const { request } = this.#placed;
    const { roundTripMs, timeoutSeconds } = scenario.origin;
    const gatewayPool = this.#gateway.pool;
    const endpoint = gatewayPool.choose(
      { key: request.blocks.slice(0, 2).join(), promptTokens: request.promptTokens, modalities: ['text'] },
      clock.now,
    )!;
    const index = this.#gateway.endpointIndex(endpoint);
    const flight = endpoint.sent(request.promptTokens, clock.now, request.stream);
    const run: Run = { route: 'origin', startedAt: clock.now, cancel: () => endpoint.left(flight) };
    this.#runs.push(run);
    const undisturbed = !nodes.isCold && nodes.waiting === 0;
    let firstAt = 0;
    const heard = (act: () => void) => clock.after(roundTripMs / 2, () => this.#runs.includes(run) && act());
    const fail = (kind: FailureKind) => {
      endpoint.failed(kind, null, clock.now);
      endpoint.left(flight);
      this.#learn(decision, run, { end: 'failed', gated: false, ttftMs: null, completionTokens: 0, cachedTokens: 0, undisturbed: false });
      this.#failed(run, 'origin_unavailable');
    };
    clock.after(1000 * timeoutSeconds, () => {
      if (firstAt > 0 || !this.#runs.includes(run)) return;
      run.cancel();
      fail('timeout');
    });
    clock.after(roundTripMs / 2, () => {
      if (!this.#runs.includes(run)) return;
      const job = nodes.submit(index, request, {
        firstToken: () =>
          heard(() => {
            firstAt = clock.now;
            gatewayPool.answered(endpoint, flight, clock.now);
            this.#first(run);
          }),
        finished: () =>
          heard(() => {
            endpoint.left(flight);
            const { outputTokens, maxTokens, stream, judgement } = request;
            const completionTokens = Math.min(outputTokens, maxTokens ?? Number.POSITIVE_INFINITY);
            const ttftMs = stream ? firstAt - run.startedAt : null;
            this.#learn(decision, run, {
              end: outputTokens === maxTokens ? 'length' : 'stop',
              gated: false,
              ttftMs,
              completionTokens,
              cachedTokens: 0,
              undisturbed,
            });
            this.#end(run, judgement.origin);
          }),
        failed: () => heard(() => fail('unreachable')),
      });
      if (!job) return heard(() => fail('unreachable'));
      run.cancel = () => {
        endpoint.left(flight);
        job.cancel();
      };
    });
  }

  /** The first byte leaves, and others that were asked are called off. */
  #first(run: Run): void {
    if (this.#sent) return;
    this.#sent = { route: run.route, at: this.#gateway.world.clock.now };
    for (const other of this.#runs) if (other !== run) other.cancel();
    this.#runs = [run];
  }

  #failed(run: Run, code: 'low_gate' | 'queue_full' | 'prompt_too_long' | 'origin_unavailable'): void {
    run.cancel();
    this.#runs = this.#runs.filter((other) => other !== run);
    const placed = this.#placed;
    this.#refusals++;
    const { estimates } = placed;
    if (code === 'origin_unavailable') {
      const failure = { status: 503, code, message: '', retryAfter: null };
      placed.estimates = { ...estimates, origins: estimates.origins.map((origin) => ({ ...origin, failure })) };
    } else {
      const refusal = { code, message: '', promptTokens: null, retryAfter: null };
      placed.estimates = { ...estimates, edge: { ...estimates.edge!, refusal } };
    }
    // In a race the other one goes on. Of a stream, what has been sent cannot be taken back.
    if (this.#sent && placed.request.stream) this.#end(null, 0);
    else if (this.#runs.length === 0) {
      this.#sent = null;
      this.go();
    }
  }

  #learn(
    { expected }: Chosen,
    run: Run,
    seen: Omit<
      Outcome,
      'at' | 'key' | 'kind' | 'route' | 'model' | 'predicted' | 'totalMs' | 'promptTokens' | 'pool' | 'free' | 'asleep' | 'regions'
    >,
  ): void {
    const { now } = this.#gateway.world.clock;
    const { key, kind, promptTokens } = this.#placed.request;
    const predicted: Expected | null = expected[run.route];
    this.#gateway.learn({
      at: now,
      key,
      kind,
      route: run.route,
      model: run.route === 'edge' ? edgeModel : originModel,
      predicted: predicted?.line ?? null,
      totalMs: now - run.startedAt,
      promptTokens,
      regions: null,
      asleep:
        run.route === 'origin' && predicted && seen.end !== 'failed'
          ? wasAsleep(this.#placed.estimates.origins[0]!, predicted.line, { ...seen, totalMs: now - run.startedAt })
          : null,
      ...(seen.end === 'escalated' ? { pool: null, free: false } : this.#traffic),
      ...seen,
    });
  }

  #end(run: Run | null, quality: number): void {
    if (this.#over) throw new Error('A request has ended twice.');
    this.#over = true;
    this.#runs = [];
    const { now } = this.#gateway.world.clock;
    const { request } = this.#placed;
    const totalMs = now - this.#startedAt;
    // Who gets a whole answer has nothing before its end.
    const ttftMs = request.stream && this.#sent ? this.#sent.at - this.#startedAt : totalMs;
    this.#done({ request, route: run?.route ?? null, ttftMs, totalMs, quality, escalated: this.#escalated, refusals: this.#refusals });
  }
}
