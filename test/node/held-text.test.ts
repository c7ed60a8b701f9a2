import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { Drain } from '../../scripts/edge-node/drain.ts';
import { createEdgeHttpServer } from '../../scripts/edge-node/serve.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { parseEdgeConfig } from '../../worker/edge/config.ts';
import { createEventLoop } from '../../worker/edge/event-loop.ts';
import { createHttpEdgeClient } from '../../worker/edge/http-client.ts';
import type { EdgeClient } from '../../worker/edge/protocol.ts';
import { EdgeServer } from '../../worker/edge/server.ts';
import { accepted, ask, request } from '../support/edge-request.ts';
import { makeTinyPack } from '../support/tiny-pack.ts';

const ANSWER_TOKENS = 3000;
const HELD_MS = 3_600_000;

let pack: Awaited<ReturnType<typeof makeTinyPack>>;
let server: Server;
let client: EdgeClient;
/** Of the stage, since it was loaded. */
let steps = 0;

/** An engine that keeps text back for an hour after the first, and takes so long for a token that an answer takes many seconds. */
function patientEngine(): EdgeServer {
  const now = () => performance.now();
  return new EdgeServer(parseEdgeConfig({}), {
    openPack: () => openPack(new FolderStorage(pack.folder)),
    loadStage: async (options) => {
      const stage = await loadStage({ modules: nodeKernels(), ...options });
      const step = stage.step.bind(stage);
      stage.step = async (batch, signal) => {
        steps += 1;
        await sleep(5);
        return step(batch, signal);
      };
      return stage;
    },
    eventLoop: createEventLoop(now, () => setImmediate()),
    now,
    paceMs: HELD_MS,
    waitUntil: () => {},
  });
}

beforeAll(async () => {
  pack = await makeTinyPack();
  server = createEdgeHttpServer(patientEngine(), new Drain(), null);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  client = createHttpEdgeClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, null);
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await pack.remove();
});

it('is sent with the end of the answer', async () => {
  const { deltas, last } = await ask(client);
  expect(deltas.map(({ tokens }) => tokens)).toEqual([1, 12]);
  expect(last).toMatchObject({ type: 'finish', completionTokens: 12 });
});

it.each(['aborts', 'hangs up'])('does not hide that a client %s: the answer ends long before it is whole', async (way) => {
  const leaving = new AbortController();
  const before = steps;
  const events = accepted(await client.generate(request({ maxTokens: ANSWER_TOKENS }), leaving.signal))[Symbol.asyncIterator]();
  while ((await events.next()).value?.type !== 'delta');
  // The text of these is held back.
  const seen = steps;
  while (steps < seen + 3) await sleep(5);
  if (way === 'aborts') leaving.abort(new Error('enough'));
  else await events.return?.();
  while ((await client.status()).running > 0) await sleep(5);
  expect(steps - before).toBeLessThan(ANSWER_TOKENS / 2);
  expect((await client.status()).memory!.sessionBytes).toBe(0);
});
