import { describe, expect, test } from 'vitest';
import { describe as describeSource } from '../../models/pack/describe.ts';
import { openSource } from '../../models/sources/index.ts';
import type { Source } from '../../models/sources/source.ts';
import { tensorGroups } from '../../models/tensors.ts';
import { calibrate } from '../../wasm/engine/calibrate.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { checkpoint } from '../support/checkpoints.ts';
import { ReferenceDecoder } from '../support/decoder-reference.ts';
import { GOLDEN_MODEL } from '../support/golden.ts';

/** More than one micro-batch. */
const IDS = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % 500);

async function calibrated(source: Source, precision?: 'f32') {
  const description = describeSource(source, { quantization: 'q4_0' });
  const progress: [number, number][] = [];
  const importance = await calibrate(source, IDS, {
    modules: nodeKernels(),
    description,
    precision,
    onProgress: (done, total) => progress.push([done, total]),
  });
  return { importance, progress };
}

/** Mean squares of the inputs of every quantized matrix, by the float64 decoder, in the order in which it comes to the matrices. */
async function referenceMeans(source: Source): Promise<Float64Array[]> {
  const tensors = new Map<string, Float32Array>();
  for (const { name, shape } of tensorGroups(source.config).flatMap((group) => group.tensors)) {
    const read = await source.read(name, 0, shape.length === 1 ? 1 : shape[0]);
    if (read.type === 'f32') tensors.set(name, read.values);
  }
  const means: Float64Array[] = [];
  let turn = 0;
  const decoder = new ReferenceDecoder(source.config, tensors, (x) => {
    means[turn] ??= new Float64Array(x.length);
    for (const [i, value] of x.entries()) means[turn]![i] = means[turn]![i]! + value ** 2 / IDS.length;
    turn++;
    return x;
  });
  for (const id of IDS) {
    turn = 0;
    decoder.step(id);
  }
  return means;
}

const relativeDifference = (ours: Float32Array, theirs: Float64Array): number =>
  Math.hypot(...ours.map((value, i) => value - theirs[i]!)) / Math.hypot(...theirs);

/** Quantized matrices in the order in which a decoder needs them. */
function matrices({ config }: Source): string[] {
  const layers = config.layerTypes.flatMap((type, n) =>
    (type === 'full_attention' ? ['q_proj', 'k_proj', 'v_proj', 'o_proj'] : ['qkv_proj', 'z_proj', 'out_proj'])
      .concat('gate_proj', 'up_proj', 'down_proj')
      .map((name) => `layers.${n}.${name}`),
  );
  return [...layers, config.tiedHead ? 'embed' : 'head'];
}

describe.each([
  ['the hybrid golden model', GOLDEN_MODEL],
  ['an untied hybrid', checkpoint('qwen3_5-untied')],
  ['a llama', checkpoint('llama-tied')],
])('calibrating %s', (_, path) => {
  test('finds the mean square of every column of the input of every matrix', async () => {
    const source = await openSource(path);
    const { importance, progress } = await calibrated(source, 'f32');
    const { importance: usual } = await calibrated(source);
    const expected = await referenceMeans(source);
    const names = matrices(source);
    await source.close();
    expect([...importance.keys()].sort()).toEqual(names.toSorted());
    expect(expected).toHaveLength(names.length);
    for (const [i, name] of names.entries()) {
      const [ours, theirs] = [importance.get(name)!, expected[i]!];
      expect(ours.length).toBe(theirs.length);
      expect(relativeDifference(ours, theirs), name).toBeLessThan(1e-5);
      // In q8_0, random weights let small errors grow.
      expect(relativeDifference(usual.get(name)!, theirs), name).toBeLessThan(0.3);
    }
    const layers = source.config.layerTypes.length;
    expect(progress.at(-1)).toEqual([layers, layers]);
  });

  test('gives the same numbers every time', async () => {
    const source = await openSource(path);
    const [first, second] = [await calibrated(source), await calibrated(source)];
    await source.close();
    expect(second.importance).toEqual(first.importance);
  });
});

test('calibrating stops when it is told to', async () => {
  const source = await openSource(GOLDEN_MODEL);
  const description = describeSource(source, { quantization: 'q4_0' });
  const controller = new AbortController();
  const seen: number[] = [];
  const run = calibrate(source, IDS, {
    modules: nodeKernels(),
    description,
    onProgress: (done) => {
      seen.push(done);
      if (done === 2) controller.abort(new Error('stop'));
    },
    signal: controller.signal,
  });
  await expect(run).rejects.toThrow('stop');
  expect(seen).toEqual([1, 2]);
  await source.close();
});
