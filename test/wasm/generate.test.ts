import { describe, expect, it } from 'vitest';
import { type GenerateEvent, type GenerateOptions, generate, PREFILL_CHUNK } from '../../wasm/engine/generate.ts';
import { resolveSampling } from '../../wasm/engine/sampling.ts';
import { peak, ScriptedStage } from '../support/scripted-stage.ts';

const END = 0;
/** A vocabulary of byte strings; the euro sign comes in two tokens. */
const VOCABULARY = ['<end>', 'Hel', 'lo', ' wor', 'ld', 'STO', 'P', 'S', '\n\n', '</think>'].map((text) => new TextEncoder().encode(text));
const EURO = VOCABULARY.push(Uint8Array.of(0xe2, 0x82), Uint8Array.of(0xac)) - 2;

const tokenizer = {
  bytesOf: (id: number) => VOCABULARY[id]!,
  decoder() {
    const utf8 = new TextDecoder();
    return { push: (id: number) => utf8.decode(VOCABULARY[id], { stream: true }), flush: () => utf8.decode() };
  },
};

/** Splits at </think> when it comes as one piece, as here. */
function splitter() {
  let thinking = true;
  return {
    push(text: string) {
      if (!thinking) return { content: text, reasoning: '' };
      if (text === '</think>') thinking = false;
      return { content: '', reasoning: thinking ? text : '' };
    },
    flush: () => ({ content: '', reasoning: '' }),
  };
}

const DEFAULTS = { temperature: 0, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };

/** Lets the stage say `answer`, then the end token, to a prompt; collects the events. */
async function run(answer: number[], options: Partial<GenerateOptions> = {}, prompt = [1, 2, 3]) {
  const stage = new ScriptedStage((ids) => peak(answer[ids.length - prompt.length] ?? END, VOCABULARY.length));
  await stage.open('s');
  const events: GenerateEvent[] = [];
  const all: GenerateOptions = {
    sampling: resolveSampling({}, DEFAULTS, 0),
    maxTokens: 100,
    contextLength: 1000,
    stopIds: [END],
    stop: [],
    topLogprobs: null,
    splitter: null,
    ...options,
  };
  for await (const event of generate(stage, tokenizer, 's', prompt, all, new AbortController().signal)) events.push(event);
  const texts = events.filter((event) => event.type === 'text');
  return {
    stage,
    events,
    pieces: texts.map(({ content }) => content),
    content: texts.map(({ content }) => content).join(''),
    reasoning: texts.map(({ reasoning }) => reasoning).join(''),
    logprobs: texts.flatMap(({ logprobs }) => logprobs ?? []),
    finish: events.at(-1),
  };
}

describe('an answer', () => {
  it('comes token by token and ends at a stop id, which is no part of it', async () => {
    const { pieces, finish } = await run([1, 2, 3, 4]);
    expect(pieces).toEqual(['Hel', 'lo', ' wor', 'ld']);
    expect(finish).toEqual({ type: 'finish', reason: 'stop', tokens: 5, reasoningTokens: 0 });
  });

  it('ends with reason length at max tokens, without computing a token nobody sees', async () => {
    const { content, finish, stage } = await run([1, 2, 3, 4], { maxTokens: 2 });
    expect(content).toBe('Hello');
    expect(finish).toMatchObject({ reason: 'length', tokens: 2 });
    expect(stage.sessions.get('s')).toEqual([1, 2, 3, 1]);
  });

  it('ends with reason length where the context ends', async () => {
    const { finish } = await run([1, 2, 3, 4], { contextLength: 5 });
    expect(finish).toMatchObject({ reason: 'length', tokens: 2 });
  });

  it('never holds half a character', async () => {
    const { pieces } = await run([1, EURO, EURO + 1, 2]);
    expect(pieces).toEqual(['Hel', '€', 'lo']);
  });

  it('that ends inside a character ends with a replacement character', async () => {
    const { content } = await run([1, EURO]);
    expect(content).toBe('Hel\uFFFD');
  });
});

describe('the prompt', () => {
  it.each([1, PREFILL_CHUNK, PREFILL_CHUNK + 1, 3 * PREFILL_CHUNK + 5])('of %i tokens is evaluated in chunks', async (length) => {
    const prompt = Array.from({ length }, (_, i) => 1 + (i % 4));
    const { stage, content } = await run([1, 2], {}, prompt);
    expect(content).toBe('Hello');
    expect(stage.sessions.get('s')!.slice(0, length)).toEqual(prompt);
    const chunks = stage.batches.slice(0, Math.ceil(length / PREFILL_CHUNK)).map(([entry]) => entry!);
    const sizes = chunks.map(({ ids }) => ids!.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(PREFILL_CHUNK);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(length);
    // The head, a third of the work of a token, is computed after the last one alone.
    expect(chunks.map(({ head }) => head !== undefined)).toEqual(chunks.map((_, i) => i === chunks.length - 1));
  });
});

describe('stop strings', () => {
  it('end the answer across token borders and are never given out in part', async () => {
    const { pieces, finish } = await run([1, 2, 5, 6, 4], { stop: ['STOP'] });
    expect(pieces).toEqual(['Hel', 'lo']);
    expect(finish).toMatchObject({ reason: 'stop', tokens: 4 });
  });

  it('held-back text comes out when it turns out not to be one', async () => {
    const { content, pieces } = await run([1, 5, 2, 7], { stop: ['STOP'] });
    expect(content).toBe('HelSTOloS');
    expect(pieces).toEqual(['Hel', 'STOlo', 'S']);
  });

  it('the earliest of several wins', async () => {
    expect((await run([1, 2, 3, 4], { stop: ['wor', 'o w', ''] })).content).toBe('Hell');
  });
});

describe('thinking', () => {
  it('is split off, counted apart, and not searched for stop strings', async () => {
    const { content, reasoning, finish } = await run([1, 8, 2, 9, 3, 4, 8, 1], { splitter: splitter(), stop: ['\n\n'] });
    expect(reasoning).toBe('Hel\n\nlo');
    expect(content).toBe(' world');
    expect(finish).toMatchObject({ reason: 'stop', reasoningTokens: 4 });
  });
});

describe('logprobs', () => {
  it('come with the text of their token', async () => {
    const { events, logprobs } = await run([1, EURO, EURO + 1, 5, 2], { topLogprobs: 2, stop: ['STOP'] });
    const texts = events.filter((event) => event.type === 'text');
    expect(texts.map(({ content, logprobs }) => [content, logprobs!.length])).toEqual([
      ['Hel', 1],
      ['€', 2],
      ['STOlo', 2],
    ]);
    expect(logprobs[1]).toMatchObject({ bytes: [0xe2, 0x82] });
    expect(logprobs[0]!.top_logprobs.map(({ token }) => token)).toEqual(['Hel', '<end>']);
    expect(logprobs[0]!.logprob).toBeCloseTo(0, 5);
  });

  it('of tokens that a stop string swallowed are not given', async () => {
    const { logprobs } = await run([1, 2, 5, 6], { topLogprobs: 0, stop: ['STOP'] });
    expect(logprobs.map(({ token }) => token)).toEqual(['Hel', 'lo']);
  });
});

it('an aborted generation throws the reason at the next step', async () => {
  const controller = new AbortController();
  const stage = new ScriptedStage(() => peak(1, VOCABULARY.length));
  await stage.open('s');
  const options = {
    sampling: resolveSampling({}, DEFAULTS, 0),
    maxTokens: 100,
    contextLength: 1000,
    stopIds: [],
    stop: [],
    topLogprobs: null,
    splitter: null,
  };
  const seen: string[] = [];
  const reading = async () => {
    for await (const event of generate(stage, tokenizer, 's', [1], options, controller.signal)) {
      seen.push(event.type);
      if (seen.length === 3) controller.abort(new Error('client gone'));
    }
  };
  await expect(reading()).rejects.toThrow('client gone');
  expect(seen).toHaveLength(3);
});
