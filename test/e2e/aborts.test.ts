import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DevServer, startDevServer } from '../support/dev-server.ts';
import { type FaultOrigin, startFaultOrigin } from '../support/fault-origin.ts';
import type { SeenRequest } from '../support/seen-request.ts';

/** A client that leaves must stop whoever works for it, through everything that `npm run dev` puts in between. */
describe('a client of the development server that leaves', () => {
  let origin: FaultOrigin;
  let server: DevServer;

  beforeAll(async () => {
    origin = await startFaultOrigin();
    const variables = [
      `NEARSIDE_ORIGIN_URL:${origin.url}`,
      'NEARSIDE_ORIGIN_MODEL:origin-test',
      'NEARSIDE_EDGE_MAX_TOKENS:6000',
      'NEARSIDE_EDGE_SESSIONS:1',
    ];
    server = await startDevServer(['--fixture', ...variables.flatMap((variable) => ['--var', variable])]);
  });

  afterAll(async () => {
    await server?.stop();
    await origin?.close();
  });

  const ask = (id: string, signal: AbortSignal, body: object) =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': id },
      body: JSON.stringify({ stream: true, ...body }),
      signal,
    });
  const says = (content: string) => [{ role: 'user', content }];
  const json = async <T>(url: string) => (await (await fetch(url)).json()) as T;
  const seen = (id: string) => json<SeenRequest | null>(`${origin.url.replace(/\/v1$/, '')}/seen/${id}`);
  const edge = async () => (await json<{ edge: { running: number; queued: number } }>(`${server.url}/healthz`)).edge;
  const running = async () => (await edge()).running;

  async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!(await isSo())) {
      if (Date.now() > deadline) throw new Error(`It did not happen that ${what}.`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Milliseconds from the client's leave to the origin's notice. */
  async function untilOriginStops(id: string, leave: AbortController): Promise<number> {
    const left = Date.now();
    leave.abort();
    await eventually('the origin stopped', async () => (await seen(id))!.aborted);
    return (await seen(id))!.abortedAt! - left;
  }

  /** The best of three: a busy machine may delay one, but a lost abort delays all. */
  async function bestOf(what: string, attempt: (id: string) => Promise<number>): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) times.push(await attempt(`${what.replaceAll(' ', '-')}-${i}`));
    console.log(`${what}: ${times.join(', ')} ms after the client had left`);
    return Math.min(...times);
  }

  it('stops the origin in mid-stream', async () => {
    const best = await bestOf('origin in mid-stream', async (id) => {
      const leave = new AbortController();
      const response = await ask(id, leave.signal, { model: 'origin-test', messages: says('tokens 1000 20') });
      await response.body!.getReader().read();
      return untilOriginStops(id, leave);
    });
    expect(best).toBeLessThan(300);
  });

  it('stops the origin before the first token of a stream', async () => {
    const best = await bestOf('origin before the first token', async (id) => {
      const leave = new AbortController();
      ask(id, leave.signal, { model: 'origin-test', messages: says('stall') }).catch(() => {});
      await eventually('the origin was asked', async () => (await seen(id)) !== null);
      return untilOriginStops(id, leave);
    });
    expect(best).toBeLessThan(3_000);
  });

  it('stops the edge model in mid-stream', async () => {
    const best = await bestOf('edge model in mid-stream', async (id) => {
      const leave = new AbortController();
      const response = await ask(id, leave.signal, { model: 'nearside-fixture', max_tokens: 6000, seed: 1, messages: says('hello') });
      await response.body!.getReader().read();
      expect(await running()).toBe(1);
      const left = Date.now();
      leave.abort();
      await eventually('the engine stopped', async () => (await running()) === 0);
      return Date.now() - left;
    });
    expect(best).toBeLessThan(300);
  });

  it('gives up its place in the queue of the edge model', async () => {
    const best = await bestOf('edge model in the queue', async (id) => {
      const [stay, leave] = [new AbortController(), new AbortController()];
      const body = { model: 'nearside-fixture', max_tokens: 6000, seed: 1, messages: says('hello') };
      // Alternatives make a long answer longer: it is not to end before the one that waits has left.
      const first = await ask(`${id}-first`, stay.signal, { ...body, logprobs: true, top_logprobs: 20 });
      let ended = false;
      first.text().then(
        () => {
          ended = true;
        },
        () => {},
      );
      ask(id, leave.signal, body).catch(() => {});
      await eventually('the second request waited', async () => (await edge()).queued === 1);
      const left = Date.now();
      leave.abort();
      await eventually('its place was free', async () => (await edge()).queued === 0);
      const ms = Date.now() - left;
      expect(ended).toBe(false);
      stay.abort();
      await eventually('the engine stopped', async () => (await running()) === 0);
      return ms;
    });
    expect(best).toBeLessThan(3_000);
  });
});
