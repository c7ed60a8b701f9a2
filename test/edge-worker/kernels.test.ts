import { expect, it } from 'vitest';
import { loadStage } from '../../wasm/engine/loader.ts';
import relaxed from '../../wasm/kernel/build/relaxed.wasm';
import simd from '../../wasm/kernel/build/simd.wasm';
import { ReferenceDecoder } from '../support/decoder-reference.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';

const ids = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % 300);

it('both builds of the kernels compute in workerd what the reference does', async () => {
  const weights = randomWeights(CONFIGS.untied, 5);
  const pack = memoryPack(CONFIGS.untied, weights, 'f32');
  const reference = new ReferenceDecoder(CONFIGS.untied, weights);
  const expected = ids.map((id) => reference.step(id));
  const [fast, plain] = await Promise.all(
    [{ relaxed }, { simd }].map(async (modules) => (await loadStage({ modules, ...pack })).forward(ids)),
  );
  expect(fast).toEqual(plain);
  const differences = fast!.flatMap((line, i) => Array.from(line, (logit, j) => Math.abs(logit - expected[i]![j]!)));
  expect(Math.max(...differences)).toBeLessThan(2e-4);
});

it.each(['q8_0', 'q4_0'] as const)('%s: both builds give the same bits in workerd', async (type) => {
  const pack = memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 5), type);
  const [fast, plain] = await Promise.all(
    [{ relaxed }, { simd }].map(async (modules) => (await loadStage({ modules, ...pack })).forward(ids)),
  );
  expect(fast).toEqual(plain);
});
