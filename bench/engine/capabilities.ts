import type { LoadOptions } from '../../wasm/engine/loader.ts';
import * as loader from '../../wasm/engine/loader.ts';
import type { Stage } from '../../wasm/engine/stage.ts';

/**
 * What the engine can do beyond one thread and one prompt at a time, found by what it exports, so that the benchmark runs on versions without it: those
 * ratios are then null and say why.
 */
interface Exports {
  /** Of wasm/engine/loader.ts: a stage whose products run on `threads` threads over one shared memory. */
  loadThreadedStage?(options: LoadOptions, threads: number): Promise<Stage>;
}

/** The engine on several threads, or null when it has none. */
export async function loadThreadedStage(options: LoadOptions, threads: number): Promise<Stage | null> {
  return (await (loader as Exports).loadThreadedStage?.(options, threads)) ?? null;
}
