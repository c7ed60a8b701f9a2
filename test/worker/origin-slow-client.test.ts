import { expect, it } from 'vitest';
import type { Env } from '../../worker/config.ts';
import { chatWith, environment, eventually, withPools } from './support.ts';

const event = (delta: object) =>
  new TextEncoder().encode(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`);

/** An origin that streams without end as fast as it is read, and what was read of it. */
function endlessOrigin() {
  let tokens = 0;
  let signal: AbortSignal | null | undefined;
  const fetch = async (_: string, init: RequestInit) => {
    signal = init.signal;
    const body = new ReadableStream<Uint8Array>(
      { pull: (controller) => controller.enqueue(event({ content: `t${tokens++} ` })) },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };
  return { fetch, tokens: () => tokens, calledOff: () => signal?.aborted };
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a client reads of an endless answer. */
async function asked(timeouts: object = {}) {
  const origin = endlessOrigin();
  const endpoints = [{ url: 'http://endless.internal/v1', binding: 'ORIGIN_ENDLESS' }];
  const gateway = environment({ ...withPools([{ model: 'pool', endpoints, timeouts }]), ORIGIN_ENDLESS: origin } as unknown as Env);
  const response = await chatWith(gateway, 'hello', { model: 'pool', stream: true });
  const reader = response.body!.getReader();
  /** Reads on to a token; answers all that it has read. */
  const readTo = async (token: number) => {
    let text = '';
    while (!text.includes(`"t${token} "`)) {
      const { done, value } = await reader.read();
      if (done) break;
      text += new TextDecoder().decode(value);
    }
    return text;
  };
  return { origin, reader, readTo };
}

it('the origin is read as fast as the client reads, and no further', async () => {
  const { origin, reader, readTo } = await asked();
  for (const wanted of [5, 50, 500]) {
    await readTo(wanted);
    await sleep(100);
    expect(origin.tokens()).toBeGreaterThan(wanted);
    expect(origin.tokens()).toBeLessThan(wanted + 10);
  }
  await reader.cancel();
  await eventually('the origin is called off', async () => origin.calledOff() === true);
});

it('a pause that the client makes is not taken for one of the origin', async () => {
  const { reader, readTo } = await asked({ idle_ms: 1500 });
  await readTo(5);
  await sleep(2500);
  const text = await readTo(50);
  expect(text).toContain('"t50 "');
  expect(text).not.toContain('error');
  await reader.cancel();
});
