import { expect, it } from 'vitest';
import type { Env } from '../../worker/config.ts';
import { chatWith, environment, withPools } from './support.ts';

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

const moment = () => new Promise((resolve) => setTimeout(resolve, 100));

it('the origin is read as fast as the client reads, and no further', async () => {
  const origin = endlessOrigin();
  const pools = [{ model: 'pool', endpoints: [{ url: 'http://endless.internal/v1', binding: 'ORIGIN_ENDLESS' }] }];
  const gateway = environment({ ...withPools(pools), ORIGIN_ENDLESS: origin } as unknown as Env);
  const response = await chatWith(gateway, 'hello', { model: 'pool', stream: true });
  const reader = response.body!.getReader();
  for (const wanted of [5, 50, 500]) {
    for (let text = ''; !text.includes(`"t${wanted} "`); ) text = new TextDecoder().decode((await reader.read()).value);
    await moment();
    expect(origin.tokens()).toBeGreaterThan(wanted);
    expect(origin.tokens()).toBeLessThan(wanted + 10);
  }
  await reader.cancel();
  await moment();
  expect(origin.calledOff()).toBe(true);
});
