import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { Env } from '../../worker/config.ts';
import { chatWith, endpoint, environment, eventually, setEndpoint, withPools } from './support.ts';

/** Nobody in the network has this name. */
const bound = { name: 'bound', url: 'http://bound.internal/v1', kind: 'llama-server', binding: 'ORIGIN_BOUND' };
const { ORIGIN_BOUND, ORIGIN_MONITOR } = env as unknown as Env;

async function answerOf(gateway: Env, text = 'hello'): Promise<string> {
  const response = await chatWith(gateway, text, { model: 'pool' });
  expect(response.status).toBe(200);
  return (await response.json<{ choices: { message: { content: string } }[] }>()).choices[0]!.message.content;
}

describe('an endpoint behind a binding', () => {
  it('is asked through it', async () => {
    const gateway = environment({ ...withPools([{ model: 'pool', endpoints: [bound] }]), ORIGIN_BOUND });
    expect(await answerOf(gateway)).toBe('bound');
  });

  it('is looked at through it: requests go there while others wait elsewhere', async () => {
    const endpoints = [bound, endpoint('beside-bound', { kind: 'llama-server' })];
    await setEndpoint('beside-bound', { metrics: 'llamacpp:requests_processing 2\nllamacpp:requests_deferred 5\n' });
    const variables = { NEARSIDE_ORIGIN_POLL_MS: '50', NEARSIDE_REGION: 'bound' };
    const gateway = environment({ ...withPools([{ model: 'pool', endpoints }], variables), ORIGIN_BOUND, ORIGIN_MONITOR });
    let asked = 0;
    const all = async () => {
      for (let i = 0; i < 8; i++) if ((await answerOf(gateway, `hello ${asked++}`)) !== 'bound') return false;
      return true;
    };
    await eventually('all are answered there', all);
    // It would have been given up by now, had nobody been found there.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await eventually('all still are', all);
  });
});
