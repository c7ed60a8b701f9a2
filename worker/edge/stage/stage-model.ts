import { DurableObject, RpcTarget } from 'cloudflare:workers';
import { openPack } from '../../../models/pack/reader.ts';
import { loadStage } from '../../../wasm/engine/loader.ts';
import type { PlacedPlan } from '../../../wasm/engine/pipeline/encode-plan.ts';
import { packHash } from '../../../wasm/engine/pipeline/plan.ts';
import type { PipelineMember, StageMemory } from '../../../wasm/engine/stage.ts';
import relaxed from '../../../wasm/kernel/build/relaxed.wasm';
import simd from '../../../wasm/kernel/build/simd.wasm';
import { openStorage } from '../bindings.ts';
import { parseEdgeConfig } from '../config.ts';
import { createEventLoop } from '../event-loop.ts';
import { StageHost } from '../pipeline/stage-host.ts';
import type {
  Outcome,
  Refused,
  StageArguments,
  StageConnection,
  StageHello,
  StageMethod,
  StageValue,
  StageWelcome,
} from '../pipeline/stage-protocol.ts';
import { parseStageConfig, type StageEnv } from './config.ts';

/** Deployed, this clock stands still during computation. */
const now = (): number => performance.now();

/** What a client gets of a connection: further calls on it are part of the same RPC session. */
class Connection extends RpcTarget implements StageConnection {
  readonly #calls: StageConnection;

  constructor(calls: StageConnection) {
    super();
    this.#calls = calls;
  }

  call<M extends StageMethod>(method: M, args: StageArguments<M>): Promise<Outcome<StageValue<M>>> {
    return this.#calls.call(method, args);
  }

  step(sessions: string, batch: ArrayBuffer): Promise<ArrayBuffer | Refused> {
    return this.#calls.step(sessions, batch);
  }

  answer(queries: string, hidden: ArrayBuffer): Promise<ArrayBuffer | Refused> {
    return this.#calls.answer(queries, hidden);
  }
}

/**
 * One stage of one replica of a pipeline; the object's name is `model:region:replica:stage`. It has no public route: only Workers of the same account that bind its
 * namespace reach it, and it answers only those that have its plan.
 */
export class StageModel extends DurableObject<StageEnv> {
  readonly #eventLoop = createEventLoop(now);
  readonly #host: StageHost | null;
  readonly #wrong: string;

  constructor(state: DurableObjectState, env: StageEnv) {
    super(state, env);
    const { host, wrong } = this.#makeHost(env);
    this.#host = host;
    this.#wrong = wrong;
  }

  /** Loads the stage if it is not there, and answers with a connection, or with what is wrong. */
  async attach(hello: StageHello): Promise<StageWelcome> {
    if (!this.#host) return { ok: false, message: this.#wrong };
    return this.#host.attach(hello, (calls) => new Connection(calls));
  }

  /** What the stage takes; null when it is not loaded. */
  async memory(): Promise<StageMemory | null> {
    return this.#host?.memory() ?? null;
  }

  /** An object that cannot be made would tell nobody why. */
  #makeHost(env: StageEnv): { host: StageHost | null; wrong: string } {
    try {
      const { plan, stage, leaseMs } = parseStageConfig(env);
      const load = () => this.#load(plan, stage);
      const { arrived } = this.#eventLoop;
      return { host: new StageHost({ plan: plan.hash, stage, leaseMs, now, load, arrived }), wrong: '' };
    } catch (error) {
      return { host: null, wrong: (error as Error).message };
    }
  }

  async #load(plan: PlacedPlan, stage: number): Promise<PipelineMember> {
    const { pack, stages, contextLength } = plan;
    const { spec, wasmBytes } = stages[stage]!;
    const { manifest, storage } = await openPack(openStorage(this.env, parseEdgeConfig(this.env)));
    const found = packHash(manifest);
    if (found !== pack) throw new Error(`its pack (${manifest.name}, ${found}) is not the one the plan was made for (${pack}).`);
    const { yieldNow } = this.#eventLoop;
    return loadStage({ modules: { relaxed, simd }, storage, manifest, spec, maxBytes: wasmBytes, contextLength, yieldNow });
  }
}
