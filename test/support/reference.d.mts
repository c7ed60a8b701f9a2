export interface ReferenceTensor {
  shape: number[];
  data: ArrayLike<number>;
}
export interface ReferenceState {
  pos: number;
  layers: unknown[];
}
export class Qwen35Reference {
  constructor(config: Record<string, unknown>, tensors: Map<string, ReferenceTensor>, options?: { vHeadOrder: 'grouped' | 'tiled' });
  newState(): ReferenceState;
  step(state: ReferenceState, id: number): Float64Array;
}
export function hfToTiledIndex(keyHeads: number, valueHeads: number, width: number): number[];
export function randomTensors(config: Record<string, unknown>, seed?: number): Map<string, { shape: number[]; data: Float32Array }>;
export const tinyConfig: Record<string, unknown>;
export function rng(seed: number): { u: () => number; n: () => number };
export function rng(seed: number): { u(): number; n(): number };
