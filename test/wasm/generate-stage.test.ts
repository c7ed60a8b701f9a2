import { beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../wasm/engine/generate.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { resolveSampling, Sampler, type SamplingRequest } from '../../wasm/engine/sampling.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';
import { answerFor } from '../support/scripted-stage.ts';

const OFF = { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };
const PROMPT = Array.from({ length: 70 }, (_, i) => (i * 37) % 300);
const TOKENS = 8;
/** Every id is written as itself. */
const tokenizer = {
  bytesOf: (id: number) => new TextEncoder().encode(` ${id}`),
  decoder: () => ({ push: (id: number) => ` ${id}`, flush: () => '' }),
};

describe('generate over the real stage', () => {
  let stage: LocalStage;
  beforeAll(async () => {
    const config = CONFIGS.untied;
    stage = await loadStage({ modules: nodeKernels(), ...memoryPack(config, randomWeights(config, 5), 'q8_0', { tokenCount: 290 }) });
  });

  async function generated(request: SamplingRequest): Promise<number[]> {
    await stage.open('s');
    try {
      let text = '';
      const options = {
        sampling: resolveSampling({ seed: 11, ...request }, OFF, 0),
        maxTokens: TOKENS,
        contextLength: 512,
        stopIds: [],
        stop: [],
        topLogprobs: 2,
        splitter: null,
      };
      for await (const event of generate(stage, tokenizer, 's', PROMPT, options, new AbortController().signal)) {
        if (event.type === 'text') text += event.content;
      }
      return text.trim().split(' ').map(Number);
    } finally {
      await stage.close('s');
    }
  }

  /** The same, from all logits of the whole sequence and the definitions alone. */
  async function expectedTokens(request: SamplingRequest): Promise<number[]> {
    const sampler = new Sampler(resolveSampling({ seed: 11, ...request }, OFF, 0), PROMPT, null);
    const ids = [...PROMPT];
    for (let i = 0; i < TOKENS; i++) {
      const logits = [...(await stage.forward(ids)).at(-1)!].slice(0, 290);
      const query = sampler.query();
      const { id } = await sampler.choose(query, answerFor(logits, query), async (again) => answerFor(logits, again));
      ids.push(id);
    }
    return ids.slice(PROMPT.length);
  }

  it.each<SamplingRequest>([
    { temperature: 0 },
    {},
    { temperature: 1.5, topP: 0.9 },
    { topK: 5, topP: 0.95, temperature: 0.7 },
    { minP: 0.05, temperature: 2 },
    { temperature: 0, frequencyPenalty: 1, presencePenalty: 0.5, repetitionPenalty: 1.3 },
    { logitBias: { '7': 100, '200': -100 }, presencePenalty: 200 },
  ])('chooses what the definitions say: %o', async (request) => {
    expect(await generated(request)).toEqual(await expectedTokens(request));
  });
});
