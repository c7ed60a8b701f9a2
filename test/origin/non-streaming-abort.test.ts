import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LLAMA_SERVER_MODEL, type LlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { makeOriginModel } from '../support/origin-model.ts';
import { serveGateway, type WorkerdServer } from '../support/workerd-serve.ts';

/**
 * A client of a whole answer writes nothing and is written nothing until the end, so workerd learns of its leaving by a TCP reset only, and `wrangler dev`'s
 * proxy swallows that. Hence plain `workerd serve`, a raw socket, and a client that resets.
 */
const folder = mkdtempSync(join(tmpdir(), 'nearside-workerd-'));
let llama: LlamaServer;
let gateway: WorkerdServer;

beforeAll(async () => {
  llama = await startLlamaServer(makeOriginModel(folder), { slots: 1, context: 32_768 });
  gateway = await serveGateway(folder, {
    NEARSIDE_DEV: '1',
    NEARSIDE_ORIGIN_URL: `${llama.url}/v1`,
    NEARSIDE_ORIGIN_MODEL: LLAMA_SERVER_MODEL,
  });
});

afterAll(async () => {
  await gateway?.stop();
  await llama?.kill();
  rmSync(folder, { recursive: true, force: true });
});

it('stops the origin when the client of a whole answer resets its connection', async () => {
  // Longer than this test: without the abort the origin would still be writing.
  const socket = await sendChat(gateway.port, { max_tokens: 30_000 });
  expect(await llama.isBusy(1000)).toBe(true);
  socket.resetAndDestroy();
  expect(await llama.isBusy(3000)).toBe(false);
});

it('leaves the origin at work while the client waits', async () => {
  const socket = await sendChat(gateway.port, { max_tokens: 30_000 });
  expect(await llama.isBusy(4000)).toBe(true);
  socket.resetAndDestroy();
});

async function sendChat(port: number, rest: object): Promise<Socket> {
  const body = JSON.stringify({ model: LLAMA_SERVER_MODEL, messages: [{ role: 'user', content: 'A long story, please' }], ...rest });
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  return socket;
}
