import { describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../models/config.ts';
import { planLayout } from '../../models/pack/layout.ts';
import type { Manifest, WeightType } from '../../models/pack/manifest.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { cutInto } from '../../wasm/engine/pipeline/cut.ts';
import { describePlan } from '../../wasm/engine/pipeline/describe-plan.ts';
import { decodePlan, encodePlan, planHash } from '../../wasm/engine/pipeline/encode-plan.ts';
import { type Plan, packHash, planStages, totalBytes } from '../../wasm/engine/pipeline/plan.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';
import { QWEN35_08B } from '../support/write-checkpoint.ts';

const QWEN_2B: ModelConfig = { ...QWEN35_08B, hiddenSize: 2048, intermediateSize: 6144 };
const QWEN_9B: ModelConfig = {
  ...QWEN35_08B,
  hiddenSize: 4096,
  intermediateSize: 12288,
  numHeads: 16,
  numKvHeads: 4,
  tiedHead: false,
  linear: { ...QWEN35_08B.linear!, valueHeads: 32 },
};

/** A pack of these shapes, without its bytes. */
function shapeOf(config: ModelConfig, quantization: WeightType): Manifest {
  const { files, tensors } = planLayout(config, quantization);
  const { manifest } = memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 1), 'q4_0');
  return { ...manifest, config, quantization, files: files.map((file) => ({ ...file, sha256: '', checksum: 0 })), tensors };
}

function expectWhole({ stages }: Plan, config: ModelConfig): void {
  const layers = stages.filter(({ spec }) => !spec.head);
  const slices = stages.filter(({ spec }) => spec.head);
  expect(layers.flatMap(({ spec }) => spec.layers.first)).toEqual([0, ...layers.slice(0, -1).map(({ spec }) => spec.layers.last)]);
  expect(layers.at(-1)!.spec.layers.last).toBe(config.layerTypes.length);
  expect(slices.map(({ spec }) => spec.head!.first)).toEqual([0, ...slices.slice(0, -1).map(({ spec }) => spec.head!.last)]);
  expect(slices.at(-1)!.spec.head!.last).toBe(config.vocabSize);
  for (const { spec } of slices) expect(spec.embed).toEqual(spec.head);
}

describe('a plan', () => {
  it.each([
    ['the 0.8B in q4_0', QWEN35_08B, 'q4_0', 7, 2],
    ['the 2B in q4_0', QWEN_2B, 'q4_0', 16, 4],
    ['the 0.8B in q8_0', QWEN35_08B, 'q8_0', 12, 4],
  ] as const)('cuts %s into stages of at most 100 MB', (_, config, type, stages, slices) => {
    const plan = planStages(shapeOf(config, type));
    expectWhole(plan, config);
    expect([plan.stages.length, plan.stages.filter(({ spec }) => spec.head).length]).toEqual([stages, slices]);
    for (const stage of plan.stages) expect(totalBytes(stage)).toBeLessThanOrEqual(100e6);
    // Even: no stage of layers could give one to its neighbour and leave the largest smaller.
    const layers = plan.stages.filter(({ spec }) => !spec.head).map(({ spec }) => spec.layers.last - spec.layers.first);
    expect(Math.max(...layers) - Math.min(...layers)).toBeLessThanOrEqual(1);
  });

  it('has more stages for more sessions, for longer ones, and for less memory', () => {
    const manifest = shapeOf(QWEN35_08B, 'q4_0');
    const count = (changes: Parameters<typeof planStages>[1]) => planStages(manifest, changes).stages.length;
    expect(count({ sessions: 1 })).toBeLessThan(count({}));
    expect(count({ sessions: 12 })).toBeGreaterThan(count({}));
    expect(count({ contextLength: 4096 })).toBeGreaterThan(count({}));
    expect(count({ budgetBytes: 60e6 })).toBeGreaterThan(count({}));
    expect(count({ budgetBytes: 1000e6 })).toBe(1);
  });

  it('is one stage where everything fits in one', () => {
    const pack = memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 7), 'q8_0');
    const { stages } = planStages(pack.manifest);
    expect(stages.map(({ spec }) => spec)).toEqual([
      { layers: { first: 0, last: 4 }, embed: { first: 0, last: 320 }, head: { first: 0, last: 320 } },
    ]);
  });

  it('names what does not fit, and what it needs', () => {
    expect(() => planStages(shapeOf(QWEN_9B, 'q8_0'))).toThrow(
      /^Layer 0 does not fit: it needs \d+\.\d MB alone \(weights .*\), and a stage may have 100\.0 MB\./,
    );
    expect(() => planStages(shapeOf(QWEN35_08B, 'q4_0'), { budgetBytes: 35e6 })).toThrow(
      /^A slice of the vocabulary from row 0 does not fit/,
    );
  });

  it('is told apart by its hash, and a pack by its', () => {
    const manifest = shapeOf(QWEN35_08B, 'q4_0');
    const plan = planStages(manifest);
    expect(planHash(encodePlan(planStages(manifest)))).toBe(planHash(encodePlan(plan)));
    expect(planHash(encodePlan(planStages(manifest, { sessions: 5 })))).not.toBe(planHash(encodePlan(plan)));
    const other = { ...manifest, files: manifest.files.with(3, { ...manifest.files[3]!, checksum: 1 }) };
    expect(packHash(other)).not.toBe(packHash(manifest));
  });

  it('travels in a variable, which Cloudflare limits to 5 KB', () => {
    const plan = planStages(shapeOf(QWEN_2B, 'q4_0'));
    const text = encodePlan(plan);
    expect(text.length).toBeLessThan(2000);
    const decoded = decodePlan(text);
    expect(decoded.stages).toEqual(plan.stages.map(({ spec, wasmBytes }) => ({ spec, wasmBytes })));
    expect(decoded).toMatchObject({ model: 'memory', pack: plan.pack, sessions: 4, contextLength: 512 });
    for (const damaged of ['', '{}', text.slice(0, -9), text.replace('"version":1', '"version":2')])
      expect(() => decodePlan(damaged)).toThrow('models -- plan PACK --json');
  });

  it('is printed with a line for each stage', () => {
    const lines = describePlan(planStages(shapeOf(QWEN35_08B, 'q4_0')), 100e6);
    expect(lines).toHaveLength(9);
    expect(lines[0]).toMatch(/7 stages of at most 100\.0 MB, for 4 sessions of 512 tokens/);
    expect(lines[3]).toMatch(/^ +1 {2}layers 4-8 +59\.7 /);
    expect(lines[8]).toContain('rows 124224-248319');
  });
});

describe.each(['tied', 'untied', 'llama'] as const)('stages of the %s model with no more memory than planned', (name) => {
  it.each([
    [2, 128],
    [3, 300],
  ])('take %i sessions of %i tokens, and refuse what is over it without harm', async (sessions, contextLength) => {
    const pack = memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 7), 'q8_0', { maxFileBytes: 6000 });
    const budgetBytes = totalBytes(planStages(pack.manifest, { sessions, contextLength }).stages[0]!) * 0.99;
    const plan = planStages(pack.manifest, { budgetBytes, sessions, contextLength });
    expect(plan.stages.length).toBeGreaterThan(1);
    for (const { spec, wasmBytes } of plan.stages) {
      const stage = await loadStage({ modules: nodeKernels(), ...pack, spec, maxBytes: wasmBytes, contextLength });
      if (spec.head) continue;
      const wanted = Array.from({ length: sessions }, (_, i) => ({ session: `s${i}`, tokens: contextLength }));
      for (const { session } of wanted) await stage.open(session);
      await stage.reserve(wanted);
      expect((await stage.memory()).wasmBytes).toBeLessThanOrEqual(wasmBytes);
      const more = async () => {
        for (let i = 0; i < 40; i++) {
          await stage.open(`more${i}`);
          await stage.reserve([{ session: `more${i}`, tokens: contextLength }]);
        }
      };
      await expect(more()).rejects.toMatchObject({ name: 'StageError', code: 'out_of_memory' });
      const hidden = new Float32Array(CONFIGS[name].hiddenSize).fill(0.5);
      await stage.step([{ session: 's0', position: 0, hidden }]);
    }
  });
});

it('cuts so that the most expensive run is as cheap as can be', () => {
  const costs = [5, 1, 1, 1, 8, 1, 1];
  const cost = (first: number, last: number) => costs.slice(first, last).reduce((a, b) => a + b, 0);
  const worst = (runs: number) => {
    const borders = cutInto(runs, costs.length, cost);
    return Math.max(...borders.slice(0, -1).map((first, i) => cost(first, borders[i + 1]!)));
  };
  expect([1, 2, 3, 7, 9].map(worst)).toEqual([18, 10, 8, 8, 8]);
  expect(cutInto(9, 7, cost)).toEqual([0, 4, 5, 7]);
});
