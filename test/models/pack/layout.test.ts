import { describe, expect, test } from 'vitest';
import { CATALOG } from '../../../models/catalog.ts';
import type { ModelConfig } from '../../../models/config.ts';
import { planLayout } from '../../../models/pack/layout.ts';
import { MAX_FILE_BYTES, type Manifest, PART_ROWS } from '../../../models/pack/manifest.ts';
import { placeProblems } from '../../../models/pack/places.ts';
import { tensorGroups } from '../../../models/tensors.ts';

/** The published shapes of the family that the catalog's entries do not carry. */
const configOf = (entry: (typeof CATALOG)[number]): ModelConfig => {
  const { hiddenSize, layers, intermediateSize, tiedHead } = entry.shape;
  const large = hiddenSize >= 2560;
  return {
    architecture: 'qwen3_5',
    vocabSize: 248_320,
    hiddenSize,
    intermediateSize,
    layerTypes: Array.from({ length: layers }, (_, i) => ((i + 1) % 4 === 0 ? 'full_attention' : 'linear_attention')),
    numHeads: large ? 16 : 8,
    numKvHeads: large ? 4 : 2,
    headDim: 256,
    rotaryDim: 64,
    ropeTheta: 1e7,
    rmsNormEps: 1e-6,
    tiedHead,
    contextLength: entry.contextLength,
    linear: { keyHeads: 16, valueHeads: large ? 32 : 16, keyDim: 128, valueDim: 128, convKernel: 4 },
  };
};

describe.each(CATALOG.filter((entry) => entry.kind === 'instruct'))('$id', (entry) => {
  const config = configOf(entry);

  test('has as many parameters as the catalog says', () => {
    const tensors = tensorGroups(config).flatMap((group) => group.tensors);
    expect(tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)).toBe(entry.parameters);
  });

  test.each(['q4_0', 'q8_0', 'f32'] as const)(
    'in %s: a place for every tensor, files that never mix layers and are small enough',
    (quantization) => {
      const layout = planLayout(config, quantization);
      expect(placeProblems({ config, quantization, ...layout } as unknown as Manifest)).toEqual([]);
      expect(Math.max(...layout.files.map((file) => file.bytes))).toBeLessThanOrEqual(MAX_FILE_BYTES);
      expect(new Set(layout.files.map((file) => file.name)).size).toBe(layout.files.length);
      for (const { name, tensors } of tensorGroups(config)) {
        for (const tensor of tensors) {
          const parts = layout.tensors[tensor.name]!.parts;
          for (const part of parts) expect(layout.files[part.file]!.name).toMatch(new RegExp(`^${name}(-\\d+)?\\.bin$`));
          for (const part of parts.slice(1)) expect(part.row % PART_ROWS).toBe(0);
        }
      }
    },
  );
});

test('the 0.8B in q4_0 takes what 4.5 bits a weight take', () => {
  const { files } = planLayout(configOf(CATALOG[0]!), 'q4_0');
  expect(files.reduce((sum, file) => sum + file.bytes, 0) / 1e6).toBeCloseTo(427, 0);
});
