import type { StageParts } from './local-stage.ts';
import { MODEL } from './structs.ts';

/**
 * What a layer's matrices are multiplied with, of the rows of one micro-batch: `residual` [rows, H] before the norm of the mixer and of the MLP, `mixed` what the
 * mixer's output projection takes, `gated` what down_proj takes. `values` is a view of the engine's memory, good only during the call.
 */
export type Observe = (layer: number, what: 'residual_mixer' | 'mixed' | 'residual_mlp' | 'gated', values: Float32Array) => void;

/** Shows `observe` the kernels' buffers at the times when they hold something; layers are counted as the model counts them. */
export function observer({ manifest, spec, arena, scratch, weights }: StageParts, rows: number, observe: Observe) {
  const { config } = manifest;
  const { linear } = config;
  const view = (field: (typeof MODEL)[number], width: number): Float32Array => {
    const { buffer } = arena.memory;
    const at = new DataView(buffer).getUint32(scratch.model + MODEL.indexOf(field) * 4, true);
    return new Float32Array(buffer, at, rows * width);
  };
  const mixedWidth = (i: number): number =>
    weights.layers[i]!.kind === 'linear_attention' ? linear!.valueHeads * linear!.valueDim : config.numHeads * config.headDim;
  const layer = (i: number): number => spec.layers.first + i;
  return {
    beforeMixer: (i: number) => observe(layer(i), 'residual_mixer', view('x', config.hiddenSize)),
    afterMixer(i: number) {
      observe(layer(i), 'mixed', view('mixed', mixedWidth(i)));
      observe(layer(i), 'residual_mlp', view('x', config.hiddenSize));
    },
    afterMlp: (i: number) => observe(layer(i), 'gated', view('gate', config.intermediateSize)),
  };
}
