import { describe, expect, it } from 'vitest';
import { dequantizeTensor } from '../../models/pack/dequantize.ts';
import type { WeightType } from '../../models/pack/manifest.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { INT16_KV, ReferenceDecoder, roundActivations } from '../support/decoder-reference.ts';
import { BUILDS, type Build } from '../support/kernel-memory.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';

type Change = (values: Float32Array, name: string) => Float32Array;
const matrices = (values: Float32Array, name: string, change: (value: number, i: number) => number) =>
  /norm|decay|dt_bias|conv|embed/.test(name) ? values : values.map(change);
const of =
  (part: string, change: (value: number) => number): Change =>
  (values, name) =>
    name.split('.').at(-1)!.includes(part) ? values.map(change) : values;

/** Weights that bring norms, rotation, softmax, convolution, delta rule, gates and products to their edges. */
const EDGES: Record<string, Change> = {
  'hidden states of zero': of('embed', () => 0),
  'matrices of zero': (values, name) => matrices(values, name, () => 0),
  // Of each block all have the largest code; in q4_0 then 0, and 15 where the sign changes.
  'matrices of the largest codes': (values, name) => matrices(values, name, (value) => (value < 0 ? -0.01 : 0.01)),
  'matrices of one value': (values, name) => matrices(values, name, () => 0.01),
  'scores far apart, one position gets all attention': of('q_proj', (value) => 30 * value),
  'scores alike, all positions get the same': of('q_proj', () => 0),
  'gates wide open or shut': of('gate_proj', (value) => 1e4 * value),
  'tiny hidden states': of('embed', (value) => 1e-12 * value),
  'states that forget at once': of('decay', () => -1e4),
  'states that forget nothing': of('decay', () => 0),
};

const logitsOf = async (pack: MemoryPack, build: Build, ids: number[]) =>
  (await loadStage({ modules: { [build]: nodeKernels()[build] }, ...pack })).forward(ids);

/** The scalar reference on the pack's own weights. */
async function expectedOf(pack: MemoryPack, ids: number[]): Promise<number[][]> {
  const tensors = new Map<string, Float32Array>();
  for (const name of Object.keys(pack.manifest.tensors)) tensors.set(name, await dequantizeTensor(pack, name));
  const { config, quantization } = pack.manifest;
  const reference =
    quantization === 'f32'
      ? new ReferenceDecoder(config, tensors)
      : new ReferenceDecoder(config, tensors, roundActivations(quantization), INT16_KV);
  return ids.map((id) => reference.step(id));
}

/** RMS of the difference over RMS of the reference, which may be all zero. */
function relativeRms(values: ArrayLike<number>[], reference: number[][]): number {
  const squares = (of: (value: number, i: number, j: number) => number) =>
    reference.reduce((sum, line, i) => line.reduce((more, value, j) => more + of(value, i, j) ** 2, sum), 0);
  return Math.sqrt(squares((value, i, j) => values[i]![j]! - value) / (squares((value) => value) || 1));
}

describe.each(['tied', 'llama'] as const)('a %s model', (name) => {
  const config = CONFIGS[name];
  const ids = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % config.vocabSize);

  // A llama has nothing that forgets.
  const edges = Object.keys(EDGES).filter((edge) => config.linear !== null || !edge.startsWith('states'));
  describe.each(edges)('with %s', (edge) => {
    const weights = new Map(Array.from(randomWeights(config, 5), ([tensor, values]) => [tensor, EDGES[edge]!(values, tensor)]));

    // As in models.test.ts: an activation near a rounding border may go to the other side.
    it.each<[WeightType, number]>([
      ['f32', 2e-5],
      ['q8_0', 1e-3],
      ['q4_0', 0.02],
    ])('%s: logits as the scalar reference gives them, with both builds', async (type, bound) => {
      const pack = memoryPack(config, weights, type);
      const expected = await expectedOf(pack, ids);
      const [relaxed, simd] = await Promise.all(BUILDS.map((build) => logitsOf(pack, build, ids)));
      // A NaN is not below it either.
      expect(relativeRms(relaxed!, expected)).toBeLessThan(bound);
      expect(simd).toEqual(relaxed);
    });
  });
});
