import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { Env } from '../../worker/config.ts';
import { attemptsAtOrigins, chatWith, endpoint, environment, eventually, scrapesOf, setEndpoint, withPools } from './support.ts';

const pollMs = 50;
const deferred = (requests: number) => ({ metrics: `llamacpp:requests_processing 2\nllamacpp:requests_deferred ${requests}\n` });

/** A gateway with a monitor of its own over two llama-servers. */
function watched(name: string) {
  const endpoints = [`${name}-a`, `${name}-b`].map((one) => endpoint(one, { kind: 'llama-server' }));
  const variables = { NEARSIDE_ORIGIN_POLL_MS: String(pollMs), NEARSIDE_REGION: name };
  const { ORIGIN_MONITOR } = env as unknown as Env;
  const gateway = environment({ ...withPools([{ model: 'pool', endpoints }], variables), ORIGIN_MONITOR });
  let asked = 0;
  /** The endpoint that a request with a conversation of its own goes to. */
  const ask = async () => {
    const id = `${name}-${asked++}`;
    await (await chatWith(gateway, `hello ${id}`, { model: 'pool' }, { headers: { 'x-request-id': id } })).text();
    return (await attemptsAtOrigins(id))[0]!.endpoint;
  };
  /** Whether the next so many requests all go there. */
  const allGoTo = async (one: string) => {
    for (let i = 0; i < 8; i++) if ((await ask()) !== one) return false;
    return true;
  };
  return { ask, allGoTo };
}

describe('the monitor', () => {
  it("sends requests to where nobody waits, also for others' requests", async () => {
    const { allGoTo } = watched('loaded');
    await setEndpoint('loaded-a', deferred(5));
    await setEndpoint('loaded-b', deferred(0));
    await eventually('all go to b', () => allGoTo('loaded-b'));
    await setEndpoint('loaded-a', deferred(0));
    await setEndpoint('loaded-b', deferred(5));
    await eventually('all go to a', () => allGoTo('loaded-a'));
  });

  it('looks while there are requests, and not when there are none', async () => {
    const { ask } = watched('idle');
    await setEndpoint('idle-a', deferred(0));
    await ask();
    await eventually('it looks', async () => (await scrapesOf('idle-a')) >= 4);
    await new Promise((resolve) => setTimeout(resolve, 10 * pollMs));
    const before = await scrapesOf('idle-a');
    await new Promise((resolve) => setTimeout(resolve, 6 * pollMs));
    expect(await scrapesOf('idle-a')).toBe(before);
    await ask();
    await eventually('it looks again', async () => (await scrapesOf('idle-a')) > before);
  });

  it('has endpoints avoided that nobody answers at, and asked again when they do', async () => {
    const { allGoTo, ask } = watched('ill');
    await setEndpoint('ill-a', { status: 503, ...deferred(0) });
    await setEndpoint('ill-b', deferred(0));
    await eventually('all go to b', () => allGoTo('ill-b'));
    await setEndpoint('ill-a', { status: 200 });
    await eventually('some go to a', async () => (await ask()) === 'ill-a');
  });
});
