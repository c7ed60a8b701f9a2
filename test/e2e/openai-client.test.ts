import OpenAI, { APIError, BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DevServer, startDevServer } from '../support/dev-server.ts';
import { type FaultOrigin, startFaultOrigin } from '../support/fault-origin.ts';

/** The official client against the development server: what it accepts, a user's program accepts. */
describe('the openai client', () => {
  let origin: FaultOrigin;
  let server: DevServer;
  let client: OpenAI;

  beforeAll(async () => {
    origin = await startFaultOrigin();
    const variables = [`NEARSIDE_ORIGIN_URL:${origin.url}`, 'NEARSIDE_ORIGIN_MODEL:origin-test'];
    server = await startDevServer(['--fixture', ...variables.flatMap((variable) => ['--var', variable])]);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  });

  afterAll(async () => {
    await server?.stop();
    await origin?.close();
  });

  const messages = [{ role: 'user' as const, content: 'hello' }];

  it('lists the models', async () => {
    const models = await Array.fromAsync(client.models.list());
    expect(models.map((model) => model.id)).toEqual(['nearside-auto', 'nearside-fixture', 'origin-test']);
    expect(await client.models.retrieve('nearside-fixture')).toMatchObject({ object: 'model' });
  });

  it('is answered by the edge', async () => {
    const request = { model: 'nearside-auto', messages, max_tokens: 8, seed: 1, logprobs: true, top_logprobs: 2 };
    const { data, response } = await client.chat.completions.create(request).withResponse();
    expect(response.headers.get('x-nearside-route')).toBe('edge');
    expect(data.choices[0]).toMatchObject({
      message: { role: 'assistant', content: expect.any(String) },
      finish_reason: expect.any(String),
    });
    expect(data.choices[0]!.logprobs!.content!.length).toBeGreaterThan(0);
    const again = await client.chat.completions.create(request);
    expect(again.choices[0]!.message.content).toBe(data.choices[0]!.message.content);
  });

  it('is answered by the origin', async () => {
    const { data, response } = await client.chat.completions.create({ model: 'nearside-auto', messages }).withResponse();
    expect(response.headers.get('x-nearside-route')).toBe('origin');
    expect(response.headers.get('x-nearside-reason')).toBe('no_max_tokens');
    expect(data).toMatchObject({ model: 'origin-test', choices: [{ message: { content: 't0 t1 ' } }] });
  });

  it('streams from both', async () => {
    for (const model of ['nearside-fixture', 'origin-test']) {
      const runner = client.chat.completions.stream({ model, messages, max_tokens: 8, stream_options: { include_usage: true } });
      const completion = await runner.finalChatCompletion();
      expect(completion.model).toBe(model);
      expect(completion.choices[0]!.finish_reason).toMatch(/^(stop|length)$/);
      expect(completion.usage!.total_tokens).toBeGreaterThan(0);
    }
  });

  it('sees a broken stream as an error', async () => {
    const script = [{ role: 'user' as const, content: 'tokens 2; cut' }];
    const stream = await client.chat.completions.create({ model: 'origin-test', messages: script, stream: true });
    const seen: string[] = [];
    const read = async () => {
      for await (const chunk of stream) seen.push(chunk.choices[0]!.delta.content ?? '');
    };
    await expect(read()).rejects.toThrow(APIError);
    expect(seen).toEqual(['t0 ', 't1 ']);
  });

  it('gets errors of its own classes', async () => {
    await expect(client.chat.completions.create({ model: 'gpt-4', messages })).rejects.toThrow(NotFoundError);
    const error = await client.chat.completions.create({ model: 'nearside-fixture', messages, n: 2 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, code: 'unsupported_parameter', param: 'n', requestID: expect.stringMatching(/^req_/) });
  });
});
