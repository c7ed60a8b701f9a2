import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../routes/errors.ts';
import { adapters } from '../../../worker/origin/adapters.ts';
import { errorOfResponse, OriginFailure, pauseOf } from '../../../worker/origin/failure.ts';

describe('errorOfResponse', () => {
  it.each<[string, string, object]>([
    ["OpenAI's", '{"error":{"message":"m","type":"t","param":"p","code":"c"}}', { message: 'm', type: 't', param: 'p', code: 'c' }],
    ['a numeric code', '{"error":{"message":"m","code":400}}', { message: 'm', code: 'invalid_request', type: 'invalid_request_error' }],
    ['a code that is a sentence', '{"error":{"message":"m","code":"You wrote: \\n é"}}', { message: 'm', code: 'invalid_request' }],
    ['a bare string', '{"error":"m"}', { message: 'm' }],
    ['a flat object', '{"object":"error","message":"m"}', { message: 'm' }],
    ['a detail', '{"detail":"m"}', { message: 'm' }],
    ['plain text', 'm', { message: 'm' }],
    ['a page', '<html>m</html>', { message: 'The origin refused the request (HTTP 400).' }],
    ['nothing', '', { message: 'The origin refused the request (HTTP 400).' }],
    ['null', 'null', { message: 'The origin refused the request (HTTP 400).' }],
  ])('reads %s', async (_, body, expected) => {
    expect((await errorOfResponse(new Response(body, { status: 400 }), adapters.openai)).body().error).toMatchObject(expected);
  });

  it("tells the client's faults from the origin's", async () => {
    for (const status of [400, 409, 413, 415, 422]) {
      const error = await errorOfResponse(new Response('', { status }), adapters.openai);
      expect(error).toBeInstanceOf(ApiError);
      expect(error).not.toBeInstanceOf(OriginFailure);
      expect(error.status).toBe(status);
    }
    for (const status of [301, 401, 403, 404, 408, 429, 500, 502, 503, 504, 529]) {
      expect(await errorOfResponse(new Response('', { status }), adapters.openai)).toBeInstanceOf(OriginFailure);
    }
  });
});

describe('llama-server', () => {
  it('that cannot see, and answers 500 to an image, is well: the request is at fault', async () => {
    const message = 'image input is not supported - hint: if this is unexpected, you may need to provide the mmproj';
    const body = JSON.stringify({ error: { code: 500, message, type: 'server_error' } });
    for (const adapter of [adapters['llama-server'], adapters.openai]) {
      const error = await errorOfResponse(new Response(body, { status: 500 }), adapter);
      expect(error).not.toBeInstanceOf(OriginFailure);
      expect([error.status, error.body().error]).toEqual([
        400,
        { message: expect.stringContaining(message), type: 'invalid_request_error', param: 'messages', code: 'unsupported_modality' },
      ]);
    }
  });
});

describe('pauseOf', () => {
  it.each<[string, Record<string, string>, number | null]>([
    ['seconds', { 'retry-after': '17' }, 17_000],
    ['parts of a second', { 'retry-after': '0.5' }, 500],
    ['a date', { 'retry-after': 'Fri, 20 Nov 2026 10:00:30 GMT' }, 30_000],
    ['a date that is past', { 'retry-after': 'Fri, 20 Nov 2026 09:00:00 GMT' }, 0],
    ['milliseconds, which win', { 'retry-after-ms': '250', 'retry-after': '17' }, 250],
    ['nonsense', { 'retry-after': 'soon', 'retry-after-ms': '-1' }, null],
    ['nothing', {}, null],
  ])('reads %s', (_, headers, expected) => {
    expect(pauseOf(new Headers(headers), Date.parse('2026-11-20T10:00:00Z'))).toBe(expected);
  });
});
