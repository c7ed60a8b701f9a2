import { env, runInDurableObject } from 'cloudflare:test';
import type { EdgeEnv } from '../../worker/edge/bindings.ts';
import { createEdgeClient } from '../../worker/edge/client.ts';
import { EdgeModel } from '../../worker/edge/edge-model.ts';
import type { EdgeClient } from '../../worker/edge/protocol.ts';
import { accepted, never, request } from '../support/edge-request.ts';

const PREFIX = 'packs/tiny';
let replica = 0;

/** Every test talks to an object of its own, which has loaded nothing yet. */
export const freshClient = (): EdgeClient => createEdgeClient(env.EDGE_MODEL, `tiny:test:${replica++}`);

/** An object with other settings than the test's configuration has. */
export const withSettings = (settings: Record<`NEARSIDE_${string}`, string>, work: (client: EdgeClient) => Promise<void>) =>
  runInDurableObject(env.EDGE_MODEL.getByName(`tiny:settings:${replica++}`), async (_, state) => {
    const model = new EdgeModel(state, { ...env, ...settings } as unknown as EdgeEnv);
    const fetch = (url: string, init?: RequestInit) => model.fetch(new Request(url, init));
    await work(createEdgeClient({ idFromName: () => ({}), get: () => ({ fetch }) } as never, 'any'));
  });

/** Puts the test's pack where engines find it, with every file as `change` makes it; null for none. */
export async function putPack(change: (name: string, bytes: Uint8Array) => Uint8Array | null = (_, bytes) => bytes): Promise<void> {
  for (const [name, base64] of Object.entries(env.TEST_PACK)) {
    const bytes = change(name, Uint8Array.fromBase64(base64));
    if (bytes) await env.MODELS.put(`${PREFIX}/${name}`, bytes);
    else await env.MODELS.delete(`${PREFIX}/${name}`);
  }
}

/** Starts an answer without an end and reads its first text, so that the session is running. */
export async function startEndless(client: EdgeClient, signal: AbortSignal = never) {
  const events = accepted(await client.generate(request({ maxTokens: 4000 }), signal))[Symbol.asyncIterator]();
  for (let event = await events.next(); event.value?.type !== 'delta'; event = await events.next()) {
    if (event.done) throw new Error('The answer ended before its first text.');
  }
  return events;
}

export async function waitForStatus(client: EdgeClient, wanted: { running: number; queued: number }): Promise<void> {
  for (;;) {
    const { running, queued } = await client.status();
    if (running === wanted.running && queued === wanted.queued) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
