import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChatChunk, postChat, readStream, sseData } from '../support/chat-client.ts';
import { type DevServer, startDevServer } from '../support/dev-server.ts';
import { LLAMA_SERVER_MODEL, type LlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { makeOriginModel } from '../support/origin-model.ts';

/** The gateway under `npm run dev`, with llama.cpp's own server as its origin. */
const folder = mkdtempSync(join(tmpdir(), 'nearside-origin-'));
let llama: LlamaServer;
let dev: DevServer;
let model: string;

const ask = (content: string, rest: object = {}) => ({
  model: LLAMA_SERVER_MODEL,
  messages: [{ role: 'user', content }],
  temperature: 0,
  ...rest,
});
/** Some 12,000 tokens: about seven seconds before the first token. */
const longPrompt = 'hello world '.repeat(1500);

beforeAll(async () => {
  model = makeOriginModel(folder);
  llama = await startLlamaServer(model, { slots: 2, context: 32_768 });
  dev = await startDevServer([
    '--fixture',
    '--var',
    `NEARSIDE_ORIGIN_URL:${llama.url}/v1`,
    '--var',
    `NEARSIDE_ORIGIN_MODEL:${LLAMA_SERVER_MODEL}`,
  ]);
});

afterAll(async () => {
  await dev?.stop();
  await llama?.kill();
  rmSync(folder, { recursive: true, force: true });
});

describe('answers', () => {
  it('streams what the origin writes, with its usage', async () => {
    const response = await postChat(dev.url, ask('Hello', { stream: true, max_tokens: 40, stream_options: { include_usage: true } }));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    expect(response.headers.get('x-nearside-model')).toBe(LLAMA_SERVER_MODEL);
    const { chunks, text, done } = await readStream(response);
    expect(done).toBe(true);
    expect(chunks[0]!.choices[0]!.delta.role).toBe('assistant');
    expect(chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean)).toEqual(['length']);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 40 } });

    const direct = await readStream(await postChat(llama.url, ask('Hello', { stream: true, max_tokens: 40 })));
    expect(text).toBe(direct.text);
    expect(text).not.toBe('');
  });

  it('answers whole, with the same text and usage as the origin itself', async () => {
    const response = await postChat(dev.url, ask('How are you?', { max_tokens: 24 }));
    const direct = await postChat(llama.url, ask('How are you?', { max_tokens: 24 }));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    const [ours, theirs] = [(await response.json()) as Completion, (await direct.json()) as Completion];
    expect(ours.choices[0]!.message.content).toBe(theirs.choices[0]!.message.content);
    expect(ours.choices[0]!.finish_reason).toBe('length');
    expect(ours.usage).toMatchObject({ prompt_tokens: theirs.usage.prompt_tokens, completion_tokens: 24 });
  });

  it('takes what the edge cannot under nearside-auto', async () => {
    const request = { ...ask('One word', { max_tokens: 8, n: 1, logit_bias: {}, mirostat: 0 }), model: 'nearside-auto' };
    const response = await postChat(dev.url, request);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearside-route')).toBe('origin');
  });

  it("passes on the origin's own complaint about a request, in OpenAI's shape", async () => {
    const response = await postChat(dev.url, ask('hello world '.repeat(6000), { max_tokens: 4 }));
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
    expect(error.message).toMatch(/context/);
  });
});

describe('a client that leaves', () => {
  it('stops the origin in the middle of a stream within 300 ms', async () => {
    const client = new AbortController();
    const response = await postChat(dev.url, ask('Tell me a long story', { stream: true, max_tokens: 30_000 }), client.signal);
    const events = sseData(response);
    for (let event = 0; event < 5; event++) await events.next();
    await llama.waitUntil('busy', 1000);
    client.abort();
    expect(await llama.waitUntil('idle', 5000)).toBeLessThan(300);
  });

  it('stops the origin before the first token within 3 s', async () => {
    const client = new AbortController();
    const asking = postChat(dev.url, ask(`Read this: ${longPrompt}`, { stream: true, max_tokens: 10 }), client.signal).then((response) =>
      response.text(),
    );
    asking.catch(() => {});
    expect(await llama.isBusy(1500)).toBe(true);
    client.abort();
    await expect(asking).rejects.toThrow();
    expect(await llama.isBusy(3000)).toBe(false);
  });
});

describe('an origin in trouble', () => {
  it('ends a stream that it breaks off with an error event and no [DONE]', async () => {
    const response = await postChat(dev.url, ask('Tell me another story', { stream: true, max_tokens: 30_000 }));
    const events = sseData(response);
    for (let event = 0; event < 5; event++) await events.next();
    await llama.kill();
    const rest: string[] = [];
    for await (const data of events) rest.push(data);
    expect(rest).not.toContain('[DONE]');
    const last = JSON.parse(rest.at(-1)!) as ChatChunk;
    expect(Object.keys(last.error!).sort()).toEqual(['code', 'message', 'param', 'type']);
  });

  it('is replaced by the edge for what the edge can do, and otherwise answers 503 with Retry-After', async () => {
    const small = await postChat(dev.url, { ...ask('Hi'), model: 'nearside-auto' });
    expect(small.status).toBe(200);
    expect(small.headers.get('x-nearside-route')).toBe('edge');
    expect(small.headers.get('x-nearside-reason')).toContain('origin_unavailable');

    for (const request of [ask('Hi', { max_tokens: 8 }), { ...ask('Hi', { max_tokens: 4000 }), model: 'nearside-auto' }]) {
      const refused = await postChat(dev.url, request);
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.headers.get('x-nearside-reason')).toContain('origin_unavailable');
      expect(await refused.json()).toMatchObject({ error: { code: 'origin_unavailable', type: 'server_error' } });
    }
  });

  it('answers again as soon as it is back', async () => {
    llama = await startLlamaServer(model, { slots: 2, context: 32_768, port: llama.port });
    const response = await postChat(dev.url, ask('Hello again', { max_tokens: 4 }));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearside-route')).toBe('origin');
  });
});

interface Completion {
  choices: { message: { content: string }; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number };
}
