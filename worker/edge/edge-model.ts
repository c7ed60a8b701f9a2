import { DurableObject } from 'cloudflare:workers';
import { openPack, type Pack } from '../../models/pack/reader.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { PlacedPlan } from '../../wasm/engine/pipeline/encode-plan.ts';
import relaxed from '../../wasm/kernel/build/relaxed.wasm';
import simd from '../../wasm/kernel/build/simd.wasm';
import { type EdgeEnv, openStorage } from './bindings.ts';
import { type EdgeConfig, parseEdgeConfig } from './config.ts';
import { createEventLoop } from './event-loop.ts';
import { connectPipeline } from './pipeline/connect.ts';
import { stageDoors } from './pipeline/stage-doors.ts';
import { EdgeServer } from './server.ts';

/** Deployed, this clock stands still during computation; it is read after I/O and at yields only. */
const now = (): number => performance.now();

/**
 * One replica of the edge model; the object's name is `model:region:replica`. A Durable Object, and not a plain Worker, because only here may one request's
 * turn of the engine do work for another's: sessions share batches.
 */
export class EdgeModel extends DurableObject<EdgeEnv> {
  readonly #server: EdgeServer;

  constructor(state: DurableObjectState, env: EdgeEnv) {
    super(state, env);
    const { config, wrong } = readConfig(env);
    this.#server = new EdgeServer(config, {
      openPack: async () => {
        if (wrong) throw wrong;
        const pack = await openPack(openStorage(env, config));
        return config.plan === null ? pack : withPlannedContext(pack, config.plan);
      },
      loadStage: (options) =>
        config.plan === null
          ? loadStage({ modules: { relaxed, simd }, ...options })
          : connectPipeline({
              manifest: options.manifest,
              plan: config.plan,
              door: stageDoors(env, String(state.id.name ?? state.id)),
              onLoss: logLoss,
            }),
      eventLoop: createEventLoop(now),
      now,
      waitUntil: (work) => state.waitUntil(work),
    });
  }

  override fetch(request: Request): Promise<Response> {
    return this.#server.fetch(request);
  }
}

/** The stages' state was planned for shorter sequences than the model could take. */
function withPlannedContext(pack: Pack, plan: PlacedPlan): Pack {
  const { config } = pack.manifest;
  const contextLength = Math.min(config.contextLength, plan.contextLength);
  return { ...pack, manifest: { ...pack.manifest, config: { ...config, contextLength } } };
}

const logLoss = (error: unknown): void => console.log(JSON.stringify({ event: 'stage_lost', message: (error as Error).message }));

/** An object that cannot be made would tell nobody why. With wrong settings it is there, says so when asked, and loads nothing. */
function readConfig(env: EdgeEnv): { config: EdgeConfig; wrong: unknown } {
  try {
    return { config: parseEdgeConfig(env), wrong: null };
  } catch (error) {
    return { config: parseEdgeConfig({}), wrong: error };
  }
}
