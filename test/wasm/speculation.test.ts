import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GenerateEvent, type GenerateOptions, generate } from '../../wasm/engine/generate.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import type { SamplingRequest } from '../../wasm/engine/sampling.ts';
import { type Stage, StageError, type StepEntry } from '../../wasm/engine/stage.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';
import { generateOptions, numberTokenizer } from '../support/pipeline.ts';
import { peak, ScriptedStage } from '../support/scripted-stage.ts';

/** Answers `prompt`, and tells the sizes of the steps after it. */
async function run(stage: Stage, prompt: number[], request: SamplingRequest, changes: Partial<GenerateOptions>) {
  const options = generateOptions(request, { maxTokens: 60, ...changes });
  const steps: StepEntry[] = [];
  const watched: Stage = Object.create(stage, {
    step: {
      value: (batch: StepEntry[], signal?: AbortSignal) => {
        steps.push(...batch);
        return stage.step(batch, signal);
      },
    },
    ...Object.fromEntries(
      (['open', 'close', 'fork', 'head'] as const).map((name) => [name, { value: (stage[name] as () => unknown).bind(stage) }]),
    ),
  });
  const events: GenerateEvent[] = [];
  await stage.open('s');
  try {
    for await (const event of generate(watched, numberTokenizer, 's', prompt, options, new AbortController().signal)) events.push(event);
  } finally {
    await stage.close('s');
  }
  const decoding = steps.slice(Math.ceil(prompt.length / 32));
  return { events, steps: decoding.length, drafted: decoding.filter(({ heads }) => heads).length };
}

describe.each([
  ['tied', 'q4_0'],
  ['llama', 'q8_0'],
] as const)('speculation in the %s model, %s', (name: ConfigName, type) => {
  let stage: LocalStage;
  const phrase = Array.from({ length: 12 }, (_, i) => (i * 37) % 290);
  const prompt = [...phrase, 3, ...phrase, 5, ...phrase];
  const cycle = { '7': 40, '8': 40, '9': 40 };
  beforeAll(async () => {
    stage = await loadStage({ modules: nodeKernels(), ...memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 5), type) });
  });

  it.each<[SamplingRequest, number | null]>([
    [{ temperature: 0 }, null],
    [{ temperature: 0 }, 3],
    [{ temperature: 0, logitBias: cycle }, null],
    [{ temperature: 0.3, topK: 3 }, 2],
    [{ temperature: 0.7, topK: 20, topP: 0.8, logitBias: cycle }, null],
    [{ temperature: 0.5, logitBias: cycle }, null],
    [{ temperature: 0, frequencyPenalty: 0.3, presencePenalty: 0.2, repetitionPenalty: 1.1 }, null],
  ])('changes nothing about an answer: %o, logprobs %o', async (request, topLogprobs) => {
    const plain = await run(stage, prompt, request, { topLogprobs });
    const fast = await run(stage, prompt, request, { topLogprobs, speculate: () => true });
    expect(fast.events).toEqual(plain.events);
    expect(plain.drafted).toBe(0);
    expect((await stage.memory()).sessionBytes).toBe(0);
  });

  it('saves steps where an answer repeats itself', async () => {
    const request = { temperature: 0, logitBias: { '7': 1000 } };
    const plain = await run(stage, prompt, request, {});
    const fast = await run(stage, prompt, request, { speculate: () => true });
    expect(fast.events).toEqual(plain.events);
    expect(plain.steps).toBe(59);
    expect(fast.steps).toBeLessThan(30);
  });

  const out_of_memory = expect.objectContaining({ code: 'out_of_memory' });
  /** Leaves memory for one session of so many tokens, and for a copy with a page of its own. */
  async function fill(tight: LocalStage, tokens: number): Promise<void> {
    for (const [session, size] of [['own', tokens] as const, ['copy', 1] as const, ['filler', 1] as const]) {
      await tight.open(session);
      await tight.reserve([{ session, tokens: size }]);
    }
    const more = async () => {
      for (let pages = 2; ; pages++) await tight.reserve([{ session: 'filler', tokens: 64 * pages }]);
    };
    await expect(more()).rejects.toEqual(out_of_memory);
    await tight.close('own');
    await tight.close('copy');
  }

  it('does without where memory is too short for it', async () => {
    const wide = { ...CONFIGS[name], contextLength: 100_000 };
    const pack = memoryPack(wide, randomWeights(CONFIGS[name], 5), type);
    const tight = await loadStage({ modules: nodeKernels(), ...pack, maxBytes: (await stage.memory()).wasmBytes + 200_000 });
    const request = { temperature: 0, logitBias: { '7': 1000 } };
    const plain = await run(stage, prompt, request, { maxTokens: 150 });
    await fill(tight, prompt.length + 150);
    const fast = await run(tight, prompt, request, { maxTokens: 150, speculate: () => true });
    expect(fast.events).toEqual(plain.events);
    expect(fast.drafted).toBeGreaterThan(10);
  });

  it('keeps the memory that was set aside for the answer', async () => {
    const tokens = prompt.length + 150;
    const request = { temperature: 0, logitBias: { '7': 1000 } };
    const options = generateOptions(request, { maxTokens: 150, reserved: tokens, speculate: () => true });
    await stage.open('s');
    await stage.reserve([{ session: 's', tokens }]);
    const { sessionBytes } = await stage.memory();
    let seen = 0;
    for await (const _ of generate(stage, numberTokenizer, 's', prompt, options, new AbortController().signal)) {
      expect((await stage.memory()).sessionBytes).toBeGreaterThanOrEqual(sessionBytes);
      seen += 1;
    }
    expect(seen).toBeGreaterThan(10);
    await stage.close('s');
    expect((await stage.memory()).sessionBytes).toBe(0);
  });

  it('is off where it does not pay, and where a position may have to be looked at again', async () => {
    const request = { temperature: 0, logitBias: { '7': 1000 } };
    expect((await run(stage, prompt, request, { speculate: () => false })).drafted).toBe(0);
    expect((await run(stage, prompt, { temperature: 1, topP: 0.9 }, { speculate: () => true })).drafted).toBe(0);
    expect((await run(stage, prompt, request, { topLogprobs: 2, speculate: () => true })).drafted).toBe(0);
  });
});

describe('drafts', () => {
  /** Says 0 to 9 over and over, but at every `wrong`-th position something else. */
  const counting = (wrong: number) =>
    new ScriptedStage((ids) => peak(ids.length % wrong === 0 ? 10 + (ids.length % 7) : ids.length % 10, 20));
  const prompt = Array.from({ length: 30 }, (_, i) => i % 10);
  const greedy = { temperature: 0 };
  let stage: ScriptedStage;
  beforeEach(() => {
    stage = counting(1000);
  });

  it('that are right make an answer of a quarter of the steps', async () => {
    const { events, steps } = await run(stage, prompt, greedy, { speculate: () => true });
    expect(events.at(-1)).toMatchObject({ type: 'finish', tokens: 60 });
    expect(steps).toBe(15);
    expect(stage.sessions.size).toBe(0);
  });

  it.each([2, 3, 5, 7, 11, 13])('that are wrong at every %i-th token leave no trace', async (wrong) => {
    const plain = await run(counting(wrong), prompt, greedy, {});
    stage = counting(wrong);
    const fast = await run(stage, prompt, greedy, { speculate: () => true });
    expect(fast.events).toEqual(plain.events);
    expect(stage.sessions.size).toBe(0);
  });

  it.each([1, 2, 3, 4, 5, 6, 7])('never go beyond the limit of the answer (%i) or the context', async (limit) => {
    const answer = await run(stage, prompt, greedy, { maxTokens: limit, speculate: () => true });
    expect(answer.events.at(-1)).toMatchObject({ reason: 'length', tokens: limit });
    const full = await run(stage, prompt, greedy, { contextLength: prompt.length + limit, speculate: () => true });
    expect(full.events.at(-1)).toMatchObject({ reason: 'length', tokens: limit });
    for (const [{ position, ids }] of stage.batches as [StepEntry][])
      expect(position + ids!.length).toBeLessThanOrEqual(prompt.length + limit);
  });

  it('beyond a stop are forgotten', async () => {
    const { events } = await run(stage, prompt, greedy, { stopIds: [5], speculate: () => true });
    expect(events.at(-1)).toMatchObject({ reason: 'stop', tokens: 6 });
    expect(stage.sessions.size).toBe(0);
  });

  it('are given up without memory for a copy', async () => {
    stage.fork = async () => {
      throw new StageError('out_of_memory', 'full');
    };
    const { events, steps, drafted } = await run(stage, prompt, greedy, { speculate: () => true });
    expect(events.at(-1)).toMatchObject({ type: 'finish', tokens: 60 });
    expect([steps, drafted]).toEqual([59, 0]);
  });

  it('leave nothing open when a step fails or the client leaves', async () => {
    stage.beforeStep = async ([entry]) => {
      if (entry!.heads && entry!.position > 40) throw new Error('trap');
    };
    await expect(run(stage, prompt, greedy, { speculate: () => true })).rejects.toThrow('trap');
    expect(stage.sessions.size).toBe(0);
  });
});

it('a step refuses more questions than it has positions', async () => {
  const stage = await loadStage({ modules: nodeKernels(), ...memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 5), 'q8_0') });
  await stage.open('a');
  const query = { candidates: 1, adjust: null, draw: null };
  await expect(stage.step([{ session: 'a', position: 0, ids: [1], heads: [query, query] }])).rejects.toMatchObject({ code: 'bad_input' });
});
