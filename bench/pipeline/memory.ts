import type { PipelineWorkers } from '../../test/support/pipeline-workers.ts';
import { openInspector } from '../engine/inspector.ts';

export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** Bytes of WebAssembly memory, JavaScript heap and its buffers. */
export interface StageMemory {
  wasm: number;
  heap: number;
  buffers: number;
}

export const total = ({ wasm, heap, buffers }: StageMemory): number => wasm + heap + buffers;

/** What every stage takes, as the inspector sees it. */
export async function stageMemory({ plan, memory, inspectorUrl }: PipelineWorkers): Promise<StageMemory[]> {
  const url = await inspectorUrl();
  const sizes = [];
  for (const stage of plan!.stages.keys()) {
    const inspector = await openInspector(url, `stage-${stage}`);
    const heap = await inspector.send<{ usedSize: number; backingStorageSize?: number }>('Runtime.getHeapUsage');
    inspector.close();
    const wasm = (await memory(stage))?.wasmBytes ?? 0;
    // The inspector counts the WebAssembly memory among the buffers.
    sizes.push({ wasm, heap: heap.usedSize, buffers: Math.max(0, (heap.backingStorageSize ?? 0) - wasm) });
  }
  return sizes;
}
