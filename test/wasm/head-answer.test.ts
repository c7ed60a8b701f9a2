import { beforeAll, describe, expect, it } from 'vitest';
import { mergeHeadAnswers } from '../../wasm/engine/head-answer.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import type { HeadAnswer, HeadQuery, LogitAdjustment } from '../../wasm/engine/stage.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';
import { answerFor } from '../support/scripted-stage.ts';

/** More rows than one slice of a running step has, and the last of them padding. */
const config = { ...CONFIGS.untied, vocabSize: 9000, layerTypes: CONFIGS.untied.layerTypes.slice(0, 1) };
const TOKENS = 8990;
const modules = nodeKernels();
const ADJUST: LogitAdjustment = {
  bias: [
    [17, 5],
    [8500, -100],
    [8999, 50],
  ],
  generated: [
    [3, 2],
    [8600, 1],
  ],
  presencePenalty: 0.5,
  frequencyPenalty: 0.25,
  repetitionPenalty: 1.3,
  prompt: [3, 5, 8700],
};
const QUERIES: [string, HeadQuery][] = [
  ['candidates', { candidates: 50, adjust: null, draw: null }],
  ['more candidates than the kernel sorts', { candidates: 3000, adjust: null, draw: null }],
  ['every token', { candidates: 20000, adjust: null, draw: null }],
  ['adjusted logits', { candidates: 40, adjust: ADJUST, draw: null }],
  ['the mass at another temperature', { candidates: 5, adjust: ADJUST, draw: null, massTemperature: 0.7 }],
  ['a draw', { candidates: 0, adjust: null, draw: { seed: 42, step: 3, temperature: 1 } }],
  ['a hot draw of adjusted logits', { candidates: 3, adjust: ADJUST, draw: { seed: 2 ** 40 + 1, step: 0, temperature: 2.5 } }],
];

function expectSame(answer: HeadAnswer, expected: HeadAnswer): void {
  expect([...answer.ids]).toEqual([...expected.ids]);
  const close = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThan(1e-5);
  for (const [i, logit] of answer.logits.entries()) close(logit, expected.logits[i]!);
  expect(answer.rawLogits).toEqual(expected.rawLogits);
  close(answer.logSumExp, expected.logSumExp);
  close(answer.rawLogSumExp, expected.rawLogSumExp);
  expect(answer.drawn?.id).toBe(expected.drawn?.id);
  expect(answer.drawn?.rawLogit).toBe(expected.drawn?.rawLogit);
  if (answer.drawn) close(answer.drawn.logit, expected.drawn!.logit);
}

describe('the answer of a head', () => {
  let pack: MemoryPack;
  let stage: LocalStage;
  let logits: number[];
  beforeAll(async () => {
    pack = memoryPack(config, randomWeights(config, 11), 'q8_0', { tokenCount: TOKENS, maxFileBytes: 262144 });
    stage = await loadStage({ modules, ...pack });
    await stage.open('a');
    await stage.step([{ session: 'a', position: 0, ids: [1, 2, 3] }]);
    logits = [...(await stage.logits('a'))].slice(0, TOKENS);
  });

  it.each(QUERIES)('is what its definition says: %s', async (_, query) => {
    const inRange = query.adjust && { ...query.adjust, bias: query.adjust.bias.filter(([id]) => id < TOKENS) };
    expectSame(await stage.head('a', query), answerFor(logits, { ...query, adjust: inRange }));
  });

  it('comes with the step that asked for it, one for each entry', async () => {
    await stage.open('b');
    await stage.open('c');
    const [b, c] = await stage.step([
      { session: 'b', position: 0, ids: [1, 2, 3], head: QUERIES[3]![1] },
      { session: 'c', position: 0, ids: [4] },
    ]);
    expect(b!.head).toEqual(await stage.head('a', QUERIES[3]![1]));
    expect(c!.head).toBeNull();
  });

  it.each(QUERIES)('merged from slices of the vocabulary is that of the whole: %s', async (_, query) => {
    const layers = { first: 0, last: 0 };
    const body = await loadStage({
      modules,
      ...pack,
      spec: { layers: { first: 0, last: 1 }, embed: { first: 0, last: 9000 }, head: null },
    });
    await body.open('a');
    const [result] = await body.step([{ session: 'a', position: 0, ids: [1, 2, 3] }]);
    const answers: HeadAnswer[] = [];
    for (const [first, last] of [
      [0, 2048],
      [2048, 8960],
      [8960, 9000],
    ] as const) {
      const slice = await loadStage({ modules, ...pack, spec: { layers, embed: null, head: { first, last } } });
      await slice.open('a');
      const [{ head } = { head: null }] = await slice.step([{ session: 'a', position: 0, hidden: result!.hidden!, head: query }]);
      answers.push(head!);
    }
    expectSame(mergeHeadAnswers(answers, query.candidates), await stage.head('a', query));
  });

  it('never draws or lists a padding row, even one with a large bias', async () => {
    const bias: [number, number][] = [[8995, 1000]];
    const adjust = { ...ADJUST, bias };
    const answer = await stage.head('a', { candidates: 9000, adjust, draw: { seed: 1, step: 1, temperature: 1 } });
    expect(answer.ids.length).toBe(TOKENS);
    expect(Math.max(...answer.ids)).toBe(TOKENS - 1);
    expect(answer.drawn!.id).toBeLessThan(TOKENS);
  });

  it('draws tokens as often as they are probable', async () => {
    const small = await loadStage({ modules, ...memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 2), 'f32') });
    await small.open('a');
    await small.step([{ session: 'a', position: 0, ids: [1] }]);
    const raw = await small.logits('a');
    const bias = Array.from(raw, (_, id): [number, number] => [id, id < 4 ? -raw[id]! + Math.log(id + 1) : -1000]);
    const counts = [0, 0, 0, 0];
    for (let step = 0; step < 400; step++) {
      const adjust = { ...ADJUST, bias, generated: [], prompt: [] };
      const { drawn } = await small.head('a', { candidates: 0, adjust, draw: { seed: 7, step, temperature: 1 } });
      counts[drawn!.id]! += 1;
    }
    // Expected 40, 80, 120, 160; three standard deviations are 18 to 29.
    for (const [id, count] of counts.entries()) expect(Math.abs(count - 40 * (id + 1))).toBeLessThan(30);
  });
});
