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
