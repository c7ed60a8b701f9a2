import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../routes/errors.ts';
import { look } from '../../../worker/origin/scrape.ts';
import vllmText from '../../fixtures/origin/vllm-0.32.json?raw';
import vllmMetrics from '../../fixtures/origin/vllm-0.32-metrics.txt?raw';
import { ask, completionOf, json, read, sse } from './asking.ts';

/** What vLLM 0.32 really wrote, with a Qwen3.5 of random weights (test/vllm): nothing here is from memory. */
const vllm = JSON.parse(vllmText) as Record<string, { status: number; events: string[]; body: object }>;
const streamed = (name: string) => sse(vllm[name]!.events);
const whole = (name: string) => json(vllm[name]!.body, vllm[name]!.status);
const streaming = { stream: true, stream_options: { include_usage: true } };
const failureOf = (name: string, body: object = {}) =>
  ask('vllm', body === streaming ? streamed(name) : whole(name), body).then(
    () => null,
    (error) => error as ApiError,
  );

describe('vLLM as recorded', () => {
  it('streams its reasoning under the usual name, text, logprobs and usage', async () => {
    const { answer } = await ask('vllm', streamed('stream'), streaming);
    const { done, chunks, deltas } = await read(answer);
    expect(done).toBe(true);
    expect(deltas[0]).toEqual({ role: 'assistant', content: '' });
    expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe('Hm.\n');
    expect(deltas.some((delta) => 'reasoning' in delta)).toBe(false);
    expect(deltas.map((delta) => delta.content ?? '').join('')).toBe('\n\nYes.');
    expect(chunks.filter((chunk) => chunk.choices[0]?.logprobs)).toHaveLength(9);
    expect(chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean)).toEqual(['stop']);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 14, completion_tokens: 9 } });
  });

  it('gives the same in one piece', async () => {
    const { choices, usage } = completionOf((await ask('vllm', whole('whole'), {})).answer);
    expect(choices[0].message).toMatchObject({ role: 'assistant', content: '\n\nYes.', reasoning_content: 'Hm.\n' });
    expect(choices[0].message).not.toHaveProperty('reasoning');
    expect(usage).toMatchObject({ completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 3 } });
  });

  it('calls two tools, in pieces and whole', async () => {
    const { done, deltas } = await read((await ask('vllm', streamed('tools'), streaming)).answer);
    const calls: { name?: string; arguments: string }[] = [];
    for (const part of deltas.flatMap((delta) => delta.tool_calls ?? [])) {
      calls[part.index] ??= { name: part.function.name, arguments: '' };
      calls[part.index]!.arguments += part.function.arguments ?? '';
    }
    const expected = [
      { name: 'weather', arguments: '{"city": "Oslo"}' },
      { name: 'time', arguments: '{}' },
    ];
    expect(done).toBe(true);
    expect(calls).toEqual(expected);
    const { choices } = completionOf((await ask('vllm', whole('toolsWhole'), {})).answer);
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: expected.map((call) => ({ function: call })) },
    });
  });

  it('finishes two choices before the stream counts as complete', async () => {
    const { done, chunks } = await read((await ask('vllm', streamed('twoChoices'), { ...streaming, n: 2, temperature: 1 })).answer);
    expect(done).toBe(true);
    expect(chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.finish_reason)).toHaveLength(2);
  });

  it('that loses its engine in mid-stream ends with an error event, though it writes [DONE] after its own', async () => {
    expect(vllm.engineKilled!.events.at(-1)).toBe('[DONE]');
    const { done, chunks } = await read((await ask('vllm', streamed('engineKilled'), streaming)).answer);
    expect(done).toBe(false);
    expect(chunks.at(-1)!.error).toMatchObject({ message: expect.stringContaining('EngineCore') });
  });

  it('that has no engine any more fails before anything is sent, though it answers 200 to a stream', async () => {
    expect(await failureOf('engineGone', streaming)).toMatchObject({ name: 'OriginFailure', kind: 'error', status: 502 });
    expect(await failureOf('engineGoneWhole')).toMatchObject({ name: 'OriginFailure', kind: 'error', status: 502 });
  });

  it.each(['tooManyTokens', 'tooManyCharacters'])('says %s in OpenAI’s words', async (name) => {
    const error = await failureOf(name);
    expect(error).toBeInstanceOf(ApiError);
    expect([error!.status, error!.body().error]).toEqual([
      400,
      {
        message: expect.stringContaining('maximum context length is 1024 tokens'),
        type: 'invalid_request_error',
        param: 'messages',
        code: 'context_length_exceeded',
      },
    ]);
  });

  it.each([
    ['badTemperature', 'temperature'],
    ['tooManyAnswerTokens', 'max_tokens'],
    ['badType', 'max_tokens'],
    ['tooManyImages', 'image'],
    ['badImage', null],
  ])('finds fault with the request: %s', async (name, param) => {
    const error = await failureOf(name);
    expect(error).not.toMatchObject({ name: 'OriginFailure' });
    expect([error!.status, error!.body().error]).toEqual([
      400,
      { message: expect.any(String), type: 'invalid_request_error', param, code: 'invalid_request' },
    ]);
  });

  it('that does not know the model is the operator’s trouble, not the client’s', async () => {
    expect(await failureOf('unknownModel')).toMatchObject({ name: 'OriginFailure', kind: 'wrong', status: 502 });
  });

  it('tells its load', async () => {
    const fetch = (async (url: string) => new Response(url.endsWith('/metrics') ? vllmMetrics : '')) as unknown as typeof globalThis.fetch;
    const { seen, ttft } = await look({ url: 'http://gpu/v1', kind: 'vllm', key: null, binding: null }, null, fetch, () => 7);
    expect(seen).toMatchObject({ alive: true, running: 2, waiting: 4 });
    expect(seen.kvUse).toBeGreaterThan(0);
    expect(seen.kvUse).toBeLessThan(1);
    expect(ttft!.count).toBeGreaterThan(0);
  });
});
