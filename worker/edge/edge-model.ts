import { DurableObject } from 'cloudflare:workers';
import { openPack } from '../../models/pack/reader.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import relaxed from '../../wasm/kernel/build/relaxed.wasm';
import simd from '../../wasm/kernel/build/simd.wasm';
import { type EdgeEnv, openStorage } from './bindings.ts';
import { type EdgeConfig, parseEdgeConfig } from './config.ts';
import { createEventLoop } from './event-loop.ts';
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
        return openPack(openStorage(env, config));
      },
      loadStage: (options) => loadStage({ modules: { relaxed, simd }, ...options }),
      eventLoop: createEventLoop(now),
      now,
      waitUntil: (work) => state.waitUntil(work),
    });
  }

  override fetch(request: Request): Promise<Response> {
    return this.#server.fetch(request);
  }
}

/** An object that cannot be made would tell nobody why. With wrong settings it is there, says so when asked, and loads nothing. */
function readConfig(env: EdgeEnv): { config: EdgeConfig; wrong: unknown } {
  try {
    return { config: parseEdgeConfig(env), wrong: null };
  } catch (error) {
    return { config: parseEdgeConfig({}), wrong: error };
  }
}
