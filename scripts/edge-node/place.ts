import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { loadThreadedStage } from '../../wasm/engine/node-team.ts';
import type { EdgeConfig } from '../../worker/edge/config.ts';
import { createEventLoop } from '../../worker/edge/event-loop.ts';
import { EdgeServer } from '../../worker/edge/server.ts';

/** Threads that can compute at the same time here. */
export const maxThreads = availableParallelism();

/** Memory is used up by a few threads. */
export const defaultThreads = Math.min(4, maxThreads);

/**
 * Every piece of text wakes the gateway's process and costs it some 0.1 ms, and a small model makes two thousand a second (docs/own-server.md); nobody reads faster than 50. A Worker's
 * engine is in its gateway's process, and a client that leaves is noticed by what is written, so there text goes out as it comes.
 */
const PACE_MS = 20;

/** The engine with a pack of this machine, in this process. @param threads at most `maxThreads` */
export function createNodeEdgeServer(packFolder: string, config: EdgeConfig, threads: number): EdgeServer {
  const now = () => performance.now();
  let last: LocalStage | null = null;
  return new EdgeServer(config, {
    openPack: () => openPack(new FolderStorage(packFolder)),
    loadStage: async (options) => {
      // A stage is loaded anew when the last one has failed: its threads and its memory are not waited for.
      last?.end();
      last = null;
      last = threads > 1 ? await loadThreadedStage(options, threads) : await loadStage({ modules: nodeKernels(), ...options });
      return last;
    },
    eventLoop: createEventLoop(now, () => setImmediate()),
    now,
    paceMs: PACE_MS,
    // The process lives as long as its server.
    waitUntil: () => {},
  });
}
