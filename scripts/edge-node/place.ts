import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import * as loader from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import type { Stage } from '../../wasm/engine/stage.ts';
import type { EdgeConfig } from '../../worker/edge/config.ts';
import { createEventLoop } from '../../worker/edge/event-loop.ts';
import { EdgeServer } from '../../worker/edge/server.ts';

/** Of wasm/engine/loader.ts where the engine has threads. */
interface Exports {
  loadThreadedStage?(options: loader.LoadOptions, threads: number): Promise<Stage>;
}

const { loadThreadedStage } = loader as Exports;

/** Threads that this engine can make use of here. */
export const maxThreads = loadThreadedStage ? availableParallelism() : 1;

/** The engine with a pack of this machine, in this process. @param threads at most `maxThreads` */
export function createNodeEdgeServer(packFolder: string, config: EdgeConfig, threads: number): EdgeServer {
  const now = () => performance.now();
  return new EdgeServer(config, {
    openPack: () => openPack(new FolderStorage(packFolder)),
    loadStage: (options) => {
      const withKernels = { modules: nodeKernels(), ...options };
      return threads > 1 && loadThreadedStage ? loadThreadedStage(withKernels, threads) : loader.loadStage(withKernels);
    },
    eventLoop: createEventLoop(now, () => setImmediate()),
    now,
    // The process lives as long as its server.
    waitUntil: () => {},
  });
}
