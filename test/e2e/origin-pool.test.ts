import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FaultOrigin, startFaultOrigin } from '../support/fault-origin.ts';
import type { SeenRequest } from '../support/seen-request.ts';
import { serveGateway, type WorkerdServer } from '../support/workerd-serve.ts';

/** Pools in the bundle that is deployed, under plain `workerd serve`: what an isolate remembers, and clients that leave. */
const folder = mkdtempSync(join(tmpdir(), 'nearside-pool-'));
let origin: FaultOrigin;
let gateway: WorkerdServer;

const root = () => origin.url.replace(/\/v1$/, '');
const ask = (id: string, script: string, body: object = {}, signal?: AbortSignal, server = gateway) =>
  fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': id },
    body: JSON.stringify({ model: 'pool', stream: true, messages: [{ role: 'user', content: script }], ...body }),
    signal,
  });
const attempts = async (id: string) => (await (await fetch(`${root()}/attempts/${id}`)).json()) as SeenRequest[];

async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`It did not happen that ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

beforeAll(async () => {
  origin = await startFaultOrigin();
  const endpoints = ['a', 'b'].map((name, priority) => ({ name, url: `${root()}/e/${name}/v1`, priority }));
  gateway = await serveGateway(folder, { NEARSIDE_DEV: '1', NEARSIDE_ORIGINS: JSON.stringify([{ model: 'pool', endpoints }]) });
});

afterAll(async () => {
  await gateway?.stop();
  await origin?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Milliseconds from a client's leave to the origins' notice, the best of three: a busy machine may delay one, but a lost abort delays all. */
async function untilStopped(
  what: string,
  script: string,
  begin: (response: Promise<Response>, id: string) => Promise<void>,
): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const id = `${what.replaceAll(' ', '-')}-${i}`;
    const leave = new AbortController();
    const response = ask(id, script, {}, leave.signal);
    response.catch(() => {});
    await begin(response, id);
    const left = Date.now();
    leave.abort();
    await eventually(`all stopped (${what})`, async () => (await attempts(id)).every((attempt) => attempt.closed));
    const last = (await attempts(id)).at(-1)!;
    expect(last.aborted).toBe(true);
    times.push(last.abortedAt! - left);
  }
  console.log(`${what}: ${times.join(', ')} ms after the client had left`);
  return Math.min(...times);
}

describe('an isolate', () => {
  it('remembers from request to request who is down', async () => {
    for (let i = 0; i < 4; i++) expect((await ask(`down-${i}`, 'a> reset', { stream: false })).status).toBe(200);
    expect((await attempts('down-0')).map((attempt) => attempt.endpoint)).toEqual(['a', 'b']);
    expect((await attempts('down-3')).map((attempt) => attempt.endpoint)).toEqual(['b']);
    const health = (await (await fetch(`${gateway.url}/healthz`)).json()) as { origin: { pools: object[] } };
    expect(health.origin.pools).toMatchObject([{ model: 'pool', endpoints: 2, available: 1, inFlight: 0 }]);
  });
});

describe('a client that leaves', () => {
  it('in mid-stream stops the origin', async () => {
    const best = await untilStopped(
      'mid-stream',
      'tokens 1000 20',
      async (response) => void (await (await response).body!.getReader().read()),
    );
    expect(best).toBeLessThan(300);
  });

  it('before the first token stops the origin once the stream has begun', async () => {
    const best = await untilStopped('before the first token', 'stall', async (response) => void (await response));
    expect(best).toBeLessThan(1_000);
  });

  it('during a retry stops the second endpoint', async () => {
    const best = await untilStopped('during a retry', 'a> status 500 || b> stall', async (response) => void (await response));
    expect(best).toBeLessThan(1_000);
  });

  it('while two endpoints are asked stops both', async () => {
    const endpoints = ['c', 'd'].map((name, priority) => ({ name, url: `${root()}/e/${name}/v1`, priority }));
    const hedging = await serveGateway(join(folder, 'hedging'), {
      NEARSIDE_DEV: '1',
      NEARSIDE_ORIGINS: JSON.stringify([{ model: 'pool', endpoints }]),
    });
    try {
      // Until it knows how late a first token is late.
      for (let i = 0; i < 22; i++) await (await ask(`known-${i}`, 'tokens 1; finish; done', {}, undefined, hedging)).text();
      const leave = new AbortController();
      const response = await ask('hedged', 'stall', {}, leave.signal, hedging);
      await eventually('both are asked', async () => (await attempts('hedged')).length === 2);
      leave.abort();
      await eventually('both are stopped', async () => (await attempts('hedged')).every((attempt) => attempt.aborted));
      await response.body?.cancel().catch(() => {});
    } finally {
      await hedging.stop();
    }
  });
});
