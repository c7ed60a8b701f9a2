import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EventWriter } from '../../worker/edge/event-writer.ts';
import { readNdjson } from '../../worker/edge/ndjson.ts';
import type { EdgeEvent } from '../../worker/edge/protocol.ts';

function setUp({ room = 16, stallMs = 1000, paceMs = 20 } = {}) {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, new CountQueuingStrategy({ highWaterMark: room }));
  let stalled = 0;
  let now = 0;
  const events = new EventWriter(writable.getWriter(), { stallMs, paceMs, onStall: () => stalled++, now: () => now });
  const values = readNdjson(readable) as AsyncGenerator<EdgeEvent, void, void>;
  return {
    events,
    values,
    advance: (ms: number) => {
      now += ms;
    },
    stalled: () => stalled,
    all: async () => {
      const all: EdgeEvent[] = [];
      for await (const value of values) all.push(value);
      return all;
    },
  };
}

const delta = (content: string, tokens: number, more: object = {}): EdgeEvent => ({ type: 'delta', content, tokens, ...more });
const logprob = (token: string) => ({ token, logprob: -1, bytes: [], top_logprobs: [] });
const finish = {
  type: 'finish',
  reason: 'stop',
  cap: false,
  promptTokens: 1,
  completionTokens: 4,
  reasoningTokens: 0,
  rates: { prefill: null, decode: null },
} satisfies EdgeEvent;

it('sends the first text at once and joins what follows quickly, with log probabilities and the count of tokens', async () => {
  const { events, all, advance } = setUp();
  const reading = all();
  await events.write(delta('a', 1, { logprobs: [logprob('a')] }));
  advance(5);
  await events.write(delta('b', 2, { logprobs: [logprob('b')] }));
  await events.write(delta('c', 3, { logprobs: [logprob('c')] }));
  await events.write(finish);
  await events.close();
  expect(await reading).toEqual([
    delta('a', 1, { logprobs: [logprob('a')] }),
    delta('bc', 3, { logprobs: [logprob('b'), logprob('c')] }),
    finish,
  ]);
});

it('sends all as it comes where nothing is to be held back', async () => {
  const { events, all } = setUp({ paceMs: 0 });
  const reading = all();
  for (const event of [delta('a', 1), delta('b', 2), finish]) await events.write(event);
  await events.close();
  expect(await reading).toEqual([delta('a', 1), delta('b', 2), finish]);
});

it('keeps reasoning and content apart', async () => {
  const { events, all } = setUp();
  const reading = all();
  for (const event of [delta('', 1), { type: 'delta', reasoning: 'hm', tokens: 2 } as const, delta('so', 3)]) await events.write(event);
  await events.close();
  expect((await reading).at(-1)).toEqual({ type: 'delta', reasoning: 'hm', content: 'so', tokens: 3 });
});

it('sends tokens of a slow model one by one', async () => {
  const { events, all, advance } = setUp();
  const reading = all();
  for (const [i, text] of ['a', 'b', 'c'].entries()) {
    await events.write(delta(text, i + 1));
    advance(50);
  }
  await events.close();
  expect(await reading).toEqual([delta('a', 1), delta('b', 2), delta('c', 3)]);
});

it('does not keep text back for long when no more comes', async () => {
  const { events, values } = setUp();
  await events.write(delta('a', 1));
  await events.write(delta('b', 2));
  expect((await values.next()).value).toEqual(delta('a', 1));
  expect((await values.next()).value).toEqual(delta('b', 2));
  await events.close();
});

it('gives a reader up that does not read, however quickly tokens come', async () => {
  const { events, stalled } = setUp({ room: 2, stallMs: 20 });
  for (let i = 0; i < 10 && stalled() === 0; i++) {
    await events.write(delta('a', i));
    await sleep(25);
  }
  expect(stalled()).toBe(1);
});
