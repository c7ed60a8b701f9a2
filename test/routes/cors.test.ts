import { describe, expect, it } from 'vitest';
import { chat, edgeOnly, send, type Variables } from '../worker/support.ts';

const path = '/v1/chat/completions';
const key = 'a-key';
const withKey = async (): Promise<Variables> => {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key));
  return { NEARSIDE_API_KEYS: new Uint8Array(digest).toHex() };
};
const ask = (origin: string, variables: Variables, at = path) =>
  send(variables, at, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,x-stainless-os',
    },
  });

describe('a page in a browser', () => {
  it('may ask with a key, wherever it is from, and is told so without one', async () => {
    for (const at of [path, '/v1/models', '/v1/route']) {
      const { status, headers } = await ask('https://app.example', await withKey(), at);
      expect([status, headers.get('access-control-allow-origin')]).toEqual([204, '*']);
      expect(headers.get('access-control-allow-headers')).toBe('authorization,content-type,x-stainless-os');
      expect(headers.get('access-control-allow-methods')).toContain('POST');
    }
  });

  it('can read answers, streams, errors and their headers', async () => {
    const headers = { origin: 'https://app.example', authorization: `Bearer ${key}` };
    const variables = await withKey();
    const responses = [
      await chat(variables, 'hello', {}, { headers }),
      await chat(variables, 'hello', { stream: true }, { headers }),
      await chat(variables, 'hello', { temperature: 9 }, { headers }),
      await chat(variables, 'hello', {}, { headers: { ...headers, authorization: 'Bearer wrong' } }),
      await send(variables, '/v1/models', { headers }),
      await send(variables, '/v1/models', { headers: { origin: headers.origin } }),
      await send(variables, '/v1/nothing', { headers }),
    ];
    expect(responses.map((response) => response.status)).toEqual([200, 200, 400, 401, 200, 401, 404]);
    for (const response of responses) {
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
      expect(response.headers.get('access-control-expose-headers')).toBe('*');
      expect(response.headers.get('access-control-allow-credentials')).toBeNull();
      expect(response.headers.get('x-request-id')).toMatch(/^req_/);
      await response.text();
    }
  });

  it.each(['http://localhost:3000', 'http://127.0.0.1:5173', 'http://[::1]:8080', 'https://app.localhost'])(
    'of this machine may use a gateway without keys: %s',
    async (origin) => {
      expect((await ask(origin, edgeOnly())).headers.get('access-control-allow-origin')).toBe(origin);
      const response = await chat(edgeOnly(), 'hello', {}, { headers: { origin } });
      expect([response.status, response.headers.get('access-control-allow-origin'), response.headers.get('vary')]).toEqual([
        200,
        origin,
        'origin',
      ]);
      await response.text();
    },
  );

  it.each(['https://app.example', 'null', 'http://localhost.example', 'http://127.0.0.1.example', 'http://192.168.1.5'])(
    'of elsewhere may not: %s',
    async (origin) => {
      const preflight = await ask(origin, edgeOnly());
      expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([405, null]);
      const asked = [
        await send(edgeOnly(), '/v1/models', { headers: { origin } }),
        await chat(edgeOnly(), 'hello', {}, { headers: { origin } }),
        await chat(edgeOnly(), 'hello', { stream: true }, { headers: { origin } }),
      ];
      for (const response of asked) {
        expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([403, null]);
        expect(await response.json()).toMatchObject({ error: { code: 'page_not_allowed' } });
      }
    },
  );

  it('is not meant where there is none', async () => {
    const response = await chat(await withKey(), 'hello', {}, { headers: { authorization: `Bearer ${key}` } });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    await response.text();
    expect((await send(edgeOnly(), path, { method: 'OPTIONS' })).status).toBe(405);
  });
});
