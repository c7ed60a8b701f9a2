import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { look } from '../../worker/origin/scrape.ts';
import { type ChatChunk, postChat, readStream, sseData } from '../support/chat-client.ts';
import { makeVllmModel, startVllm, VLLM_MODEL, type VllmServer } from '../support/vllm-server.ts';
import { serveGateway, type WorkerdServer } from '../support/workerd-serve.ts';

/** The gateway on `workerd serve` before a real vLLM on the CPU, with a random-weight Qwen3.5 that reads text and images. */
const folder = mkdtempSync(join(tmpdir(), 'nearside-vllm-'));
let vllm: VllmServer;
let gateway: WorkerdServer;

const ask = (content: unknown, rest: object = {}) => ({
  model: 'pool',
  messages: [{ role: 'user', content }],
  temperature: 0,
  ...rest,
});
const load = async () => (await look({ url: `${vllm.url}/v1`, kind: 'vllm', key: null, binding: null }, null, fetch, Date.now)).seen;

/** A PNG of one red pixel. */
const image = {
  type: 'image_url',
  image_url: {
    url: 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  },
};

async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await isSo()); await sleep(50)) {
    if (Date.now() > deadline) throw new Error(`It did not happen that ${what}.`);
  }
}

beforeAll(async () => {
  const model = join(folder, 'model');
  makeVllmModel(model);
  vllm = await startVllm(model);
  const bundle = join(folder, 'gateway');
  mkdirSync(bundle);
  const endpoints = [{ name: 'vllm', url: `${vllm.url}/v1`, kind: 'vllm', model: VLLM_MODEL }];
  const pools = [{ model: 'pool', modalities: ['text', 'image'], endpoints, timeouts: { first_token_ms: 60_000 } }];
  gateway = await serveGateway(bundle, { NEARSIDE_DEV: '1', NEARSIDE_ORIGINS: JSON.stringify(pools) });
});

afterAll(async () => {
  await gateway?.stop();
  await vllm?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Completion {
  choices: { message: Record<string, string | null>; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number };
}

describe('answers', () => {
  it('streams its reasoning as reasoning_content, with the usage', async () => {
    const body = ask('Hello', { stream: true, max_tokens: 20, stream_options: { include_usage: true } });
    const response = await postChat(gateway.url, body);
    expect(response.status).toBe(200);
    const { chunks, done } = await readStream(response);
    const deltas = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta as Record<string, unknown>));
    const direct = (await (await postChat(vllm.url, { ...ask('Hello', { max_tokens: 20 }), model: VLLM_MODEL })).json()) as Completion;
    expect(done).toBe(true);
    expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe(direct.choices[0]!.message.reasoning);
    expect(deltas.some((delta) => 'reasoning' in delta)).toBe(false);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 20 } });
  });

  it('answers whole; no effort is no thinking', async () => {
    const response = await postChat(gateway.url, ask('Hello', { max_tokens: 20, reasoning_effort: 'none' }));
    const { choices, usage } = (await response.json()) as Completion;
    expect(choices[0]).toMatchObject({ finish_reason: 'length', message: { role: 'assistant', content: expect.any(String) } });
    expect(choices[0]!.message.content).not.toBe('');
    expect(usage.completion_tokens).toBe(20);
  });

  it('reads an image', async () => {
    const of = async (content: unknown) => {
      const response = await postChat(gateway.url, ask(content, { max_tokens: 8, reasoning_effort: 'none' }));
      expect(response.status).toBe(200);
      return (await response.json()) as Completion;
    };
    const text = { type: 'text', text: 'What is it?' };
    const [seen, unseen] = [await of([text, image]), await of([text])];
    expect(seen.usage.prompt_tokens).toBeGreaterThan(unseen.usage.prompt_tokens);
  });

  it("answers JSON of the client's schema", async () => {
    const schema = { type: 'object', properties: { a: { enum: [1] } }, required: ['a'], additionalProperties: false };
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
    const response = await postChat(gateway.url, ask('JSON', { max_tokens: 300, reasoning_effort: 'none', response_format: format }));
    const { choices } = (await response.json()) as Completion;
    expect(choices[0]!.finish_reason === 'stop' ? JSON.parse(choices[0]!.message.content!) : { a: 1 }).toEqual({ a: 1 });
    expect(choices[0]!.message.content).toMatch(/^\s*\{/);
  });
});

describe('complaints', () => {
  const complaint = async (body: object) => {
    const response = await postChat(gateway.url, body);
    return [response.status, ((await response.json()) as ChatChunk).error];
  };

  it('about a prompt that is too long come in OpenAI’s words', async () => {
    const error = {
      message: expect.stringContaining('1024'),
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    };
    for (const stream of [true, false]) expect(await complaint(ask('hello world '.repeat(1000), { stream }))).toEqual([400, error]);
  });

  it('about too many images name the parameter', async () => {
    const [status, error] = await complaint(ask([image, image, image], { max_tokens: 2 }));
    expect(status).toBe(400);
    expect(error).toMatchObject({ type: 'invalid_request_error', param: 'image' });
  });
});

describe('its load', () => {
  it('is read while more is asked than it takes at a time', async () => {
    const leave = new AbortController();
    const long = ask('A long story', { stream: true, max_tokens: 900, ignore_eos: true, reasoning_effort: 'none' });
    const asking = Array.from({ length: 5 }, async () => {
      for await (const _ of sseData(await postChat(gateway.url, long, leave.signal)));
    });
    await eventually('two ran and others waited', async () => {
      const { running, waiting, kvUse } = await load();
      return running === 2 && waiting! > 0 && kvUse! > 0;
    });
    leave.abort();
    await Promise.allSettled(asking);
    await eventually('all were stopped when their clients had left', async () => {
      const { running, waiting } = await load();
      return running === 0 && waiting === 0;
    });
  });
});

describe('a broken engine', () => {
  it('ends a stream with an error event and no [DONE], and then is not available', async () => {
    const long = ask('A long story', { stream: true, max_tokens: 900, ignore_eos: true, reasoning_effort: 'none' });
    const events = sseData(await postChat(gateway.url, long));
    for (let i = 0; i < 5; i++) await events.next();
    vllm.killEngine();
    const rest: string[] = [];
    for await (const data of events) rest.push(data);
    expect(rest).not.toContain('[DONE]');
    expect((JSON.parse(rest.at(-1)!) as ChatChunk).error).toMatchObject({ message: expect.any(String), type: 'server_error' });
    const after = await postChat(gateway.url, ask('Hello', { max_tokens: 2 }));
    expect([502, 503]).toContain(after.status);
    expect(((await after.json()) as ChatChunk).error).toMatchObject({ type: 'server_error' });
  });
});
