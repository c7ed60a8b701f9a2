import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ChatChunk, postChat, readStream } from '../support/chat-client.ts';
import { type LlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { makeGguf } from '../support/make-gguf.ts';
import { writeVisionGguf } from '../support/vision-gguf.ts';
import { serveGateway, type WorkerdServer } from '../support/workerd-serve.ts';

/** Images through the gateway on `workerd serve` to llama.cpp's server, which has a Qwen3.5 with a vision tower, all of random weights. */
const folder = mkdtempSync(join(tmpdir(), 'nearside-images-'));
let llama: LlamaServer;
let gateway: WorkerdServer;

beforeAll(async () => {
  const [model, vision] = [join(folder, 'model.gguf'), join(folder, 'vision.gguf')];
  makeGguf(model, 'tiny', 'f32');
  writeVisionGguf(vision);
  llama = await startLlamaServer(model, { vision });
  const pool = { model: 'sees', modalities: ['text', 'image'], endpoints: [{ url: `${llama.url}/v1`, kind: 'llama-server' }] };
  gateway = await serveGateway(folder, { NEARSIDE_DEV: '1', NEARSIDE_ORIGINS: JSON.stringify([pool]) });
});

afterAll(async () => {
  await gateway?.stop();
  await llama?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** A PNG of 64 x 64 pixels whose colour changes from left to right. */
function png(red: number, green: number): string {
  const size = 64;
  const rows = Buffer.alloc(size * (1 + 3 * size));
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) rows.set([red, green, 4 * x], y * (1 + 3 * size) + 1 + 3 * x);
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 2, 0, 0, 0]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const file = Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
  return `data:image/png;base64,${file.toString('base64')}`;
}

const ask = (images: string[], rest: object = {}) => ({
  model: 'sees',
  messages: [
    { role: 'user', content: [{ type: 'text', text: 'What is it?' }, ...images.map((url) => ({ type: 'image_url', image_url: { url } }))] },
  ],
  temperature: 0,
  max_tokens: 24,
  ...rest,
});

interface Completion {
  choices: { message: { content: string } }[];
  usage: { prompt_tokens: number };
}

async function answer(url: string, body: object): Promise<{ text: string; promptTokens: number }> {
  const response = await postChat(url, body);
  expect(response.status).toBe(200);
  const { choices, usage } = (await response.json()) as Completion;
  return { text: choices[0]!.message.content, promptTokens: usage.prompt_tokens };
}

it('are seen: the answer is what the server says itself, and another one for another image', async () => {
  const [red, green] = [ask([png(255, 0)]), ask([png(0, 255)])];
  const seen = await answer(gateway.url, red);
  expect(seen).toEqual(await answer(llama.url, red));
  expect((await answer(gateway.url, green)).text).not.toBe(seen.text);
  expect((await readStream(await postChat(gateway.url, { ...red, stream: true }))).text).toBe(seen.text);
});

it('count as tokens of the prompt', async () => {
  const [none, one, two] = await Promise.all([[], [png(9, 9)], [png(9, 9), png(1, 1)]].map((images) => answer(gateway.url, ask(images))));
  expect(one!.promptTokens).toBeGreaterThan(none!.promptTokens);
  expect(two!.promptTokens - one!.promptTokens).toBe(one!.promptTokens - none!.promptTokens);
});

it('that are none are refused as the fault of the request', async () => {
  const response = await postChat(gateway.url, ask(['data:image/png;base64,AAAA']));
  expect(response.status).toBe(400);
  expect(((await response.json()) as ChatChunk).error).toMatchObject({ type: 'invalid_request_error' });
});
