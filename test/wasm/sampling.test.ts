import { describe, expect, it } from 'vitest';
import { resolveSampling, Sampler, type SamplingRequest } from '../../wasm/engine/sampling.ts';
import type { HeadQuery } from '../../wasm/engine/stage.ts';
import { answerFor } from '../support/scripted-stage.ts';

const OFF = { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };

function samplerFor(request: SamplingRequest, prompt: number[] = [], topLogprobs: number | null = null): Sampler {
  return new Sampler(resolveSampling({ seed: 7, ...request }, OFF, 0), prompt, topLogprobs);
}

/** Chooses `count` tokens, each from the same logits. */
async function choose(sampler: Sampler, logits: number[], count: number) {
  const choices = [];
  const queries: HeadQuery[] = [];
  for (let i = 0; i < count; i++) {
    const query = sampler.query();
    queries.push(query);
    choices.push(
      await sampler.choose(query, answerFor(logits, query), async (again) => {
        queries.push(again);
        return answerFor(logits, again);
      }),
    );
  }
  return { ids: choices.map(({ id }) => id), choices, queries };
}

/** Exact distribution that temperature and filters should leave. */
function expected(logits: number[], { temperature = 1, topK = 0, topP = 1, minP = 0 }: SamplingRequest): number[] {
  const order = logits
    .map((logit, id) => ({ id, weight: Math.exp(logit / temperature) }))
    .sort((a, b) => b.weight - a.weight || a.id - b.id);
  let kept = topK > 0 ? order.slice(0, topK) : order;
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let mass = 0;
  kept = kept.filter(({ weight }) => {
    const needed = mass < topP * total;
    mass += weight;
    return needed && weight >= minP * order[0]!.weight;
  });
  const left = kept.reduce((sum, { weight }) => sum + weight, 0);
  return logits.map((_, id) => (kept.find((token) => token.id === id)?.weight ?? 0) / left);
}

const LOGITS = [2, -1, 0.5, 1.5, 0, 1.9, -3, 0.4, 1, -0.5];
const DRAWS = 4000;

describe('the drawn distribution is exactly the filtered one', () => {
  const cases: SamplingRequest[] = [
    {},
    { temperature: 0.6 },
    { temperature: 2.5 },
    { topK: 3 },
    { topP: 0.7 },
    { topP: 0.8, temperature: 0.5 },
    { minP: 0.3, temperature: 1.3 },
    { topK: 6, topP: 0.8, minP: 0.1, temperature: 0.8 },
  ];
  it.each(cases)('%o', async (request) => {
    const { ids } = await choose(samplerFor(request), LOGITS, DRAWS);
    const exact = expected(LOGITS, request);
    // Pearson's chi-squared: with 9 degrees of freedom 33.7 is passed once in 10,000 fair samples, and the seed is fixed.
    let chi = 0;
    for (const [id, probability] of exact.entries()) {
      const count = ids.filter((drawn) => drawn === id).length;
      if (probability === 0) expect(count).toBe(0);
      else chi += (count - probability * DRAWS) ** 2 / (probability * DRAWS);
    }
    expect(chi).toBeLessThan(33.7);
  });
});

describe('seeds', () => {
  it('give the same tokens again, and other tokens for another seed', async () => {
    const text = async (seed: number) => (await choose(samplerFor({ seed }), LOGITS, 50)).ids.join();
    expect(await text(5)).toBe(await text(5));
    expect(await text(6)).not.toBe(await text(5));
    expect(await text(5 + 2 ** 32)).not.toBe(await text(5));
    expect(await text(-5)).not.toBe(await text(5));
  });

  it('choose the same token with a filter that removes nothing as without one', async () => {
    const whole = await choose(samplerFor({}), LOGITS, 50);
    const filtered = await choose(samplerFor({ topK: LOGITS.length }), LOGITS, 50);
    expect(filtered.ids).toEqual(whole.ids);
  });
});

describe('filters', () => {
  it('temperature 0 takes the best token, the lower id on a tie', async () => {
    expect((await choose(samplerFor({ temperature: 0 }), [1, 3, 3, 2], 3)).ids).toEqual([1, 1, 1]);
  });

  it('top_p asks the head for more when the nucleus is wider than the first candidates', async () => {
    const flat = Array.from({ length: 700 }, () => 0);
    const { ids, queries } = await choose(samplerFor({ topP: 0.9 }), flat, 300);
    expect(queries.some(({ candidates }) => candidates >= 630)).toBe(true);
    expect(Math.max(...ids)).toBeGreaterThan(600);
    // Ties are ranked by id, so the nucleus is the first 630 tokens.
    expect(Math.max(...ids)).toBeLessThan(630);
  });

  it('always leave the best token, however strict', async () => {
    expect((await choose(samplerFor({ topP: 0, minP: 1, topK: 1 }), [0, 1, 0.5], 5)).ids).toEqual([1, 1, 1, 1, 1]);
  });
});

describe('changes to the logits', () => {
  it('logit_bias bans and forces tokens', async () => {
    expect((await choose(samplerFor({ temperature: 0, logitBias: { '5': -100, '0': -100 } }), LOGITS, 1)).ids).toEqual([3]);
    expect((await choose(samplerFor({ logitBias: { '6': 100 } }), LOGITS, 5)).ids).toEqual([6, 6, 6, 6, 6]);
  });

  it('presence and frequency penalties count generated tokens only', async () => {
    const { ids } = await choose(samplerFor({ temperature: 0, presencePenalty: 1.5 }, [0]), [3, 2, 1], 4);
    expect(ids).toEqual([0, 1, 0, 0]);
    const frequent = await choose(samplerFor({ temperature: 0, frequencyPenalty: 0.75 }, [0]), [3, 2, 1], 5);
    expect(frequent.ids).toEqual([0, 0, 1, 0, 1]);
  });

  it('the repetition penalty counts the prompt too', async () => {
    expect((await choose(samplerFor({ temperature: 0, repetitionPenalty: 2 }, [0, 0]), [3, 2, -1], 1)).ids).toEqual([1]);
  });
});

describe('logprobs', () => {
  it('are those of the unmodified distribution, whatever sampling does', async () => {
    const total = Math.log(LOGITS.reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (const request of [{}, { temperature: 0 }, { temperature: 0.3, topK: 2 }, { topP: 0.5 }, { logitBias: { '6': 100 } }]) {
      const { choices } = await choose(samplerFor(request, [], 3), LOGITS, 1);
      const { id, logprob, top } = choices[0]!;
      expect(logprob).toBeCloseTo(LOGITS[id]! - total, 5);
      expect(top.map((token) => token.id)).toEqual([0, 5, 3]);
      expect(top[1]!.logprob).toBeCloseTo(1.9 - total, 5);
    }
  });
});

it('what a request leaves open takes the value of the pack', () => {
  const pack = { temperature: 0.7, topP: 0.8, topK: 20, minP: 0.05, presencePenalty: 1.5, repetitionPenalty: 1.1 };
  expect(resolveSampling({}, pack, 99)).toEqual({ ...pack, frequencyPenalty: 0, seed: 99, logitBias: [] });
  expect(resolveSampling({ temperature: 0, topK: -1, seed: 0 }, pack, 99)).toMatchObject({ temperature: 0, topK: 0, seed: 0, topP: 0.8 });
});

it('logits that are not numbers are an error, not a token', async () => {
  await expect(choose(samplerFor({ temperature: 0 }), [Number.NaN, Number.NaN], 1)).rejects.toThrow('no usable logits');
});
