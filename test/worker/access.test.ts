import { describe, expect, it } from 'vitest';
import { authorize, constantTimeEqual } from '../../worker/access/keys.ts';
import { chat, edgeOnly, environment, failure, send, sendTo } from './support.ts';

const digestOf = async (key: string) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))).toHex();
const withKeys = async () => ({ NEARSIDE_API_KEYS: `${await digestOf('first-key')} ${await digestOf('second-key')}` });
const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

describe('API keys', () => {
  it('lets every configured key in', async () => {
    for (const key of ['first-key', 'second-key']) expect((await chat(await withKeys(), 'hello', {}, bearer(key))).status).toBe(200);
  });

  it.each<[string, Record<string, string>, string]>([
    ['no header', {}, 'missing_api_key'],
    ['another scheme', { authorization: 'Basic Zmlyc3Qta2V5' }, 'missing_api_key'],
    ['a wrong key', { authorization: 'Bearer third-key' }, 'invalid_api_key'],
    ['a key and more', { authorization: 'Bearer first-key2' }, 'invalid_api_key'],
    ['the digest itself', { authorization: `Bearer ${'0'.repeat(64)}` }, 'invalid_api_key'],
  ])('refuses %s', async (_, headers, code) => {
    for (const path of ['/v1/models', '/v1/models/x', '/v1/nothing']) {
      const response = await send(await withKeys(), path, { headers });
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await failure(response)).toMatchObject({ status: 401, code, type: 'invalid_request_error', param: null });
    }
  });

  it("calls a wrong key by OpenAI's words, by which LiteLLM tells it from a bad request", async () => {
    const response = await send(await withKeys(), '/v1/models', bearer('third-key'));
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining('Incorrect API key provided') } });
  });

  it('checks the key before it reads the body', async () => {
    const response = await send(await withKeys(), '/v1/chat/completions', { method: 'POST', body: 'not JSON' });
    expect(response.status).toBe(401);
  });

  it('remembers a key that it has accepted, and lets nothing else in for it', async () => {
    const gateway = environment(await withKeys());
    const statusOf = async (key: string) => (await sendTo(gateway, '/v1/models', bearer(key))).status;
    for (const key of ['first-key', 'first-key', 'second-key']) expect(await statusOf(key)).toBe(200);
    for (const key of ['first-kex', 'first-ke', 'First-key', '__proto__']) expect(await statusOf(key)).toBe(401);
    const another = environment({ NEARSIDE_API_KEYS: await digestOf('second-key') });
    expect((await sendTo(another, '/v1/models', bearer('first-key'))).status).toBe(401);
  });

  it('calls the bearer of a key the same at every call, and those of two keys differently', async () => {
    const keyDigests = await Promise.all(['first-key', 'second-key'].map(async (key) => Uint8Array.fromHex(await digestOf(key))));
    const access = { keyDigests, open: false };
    const [first, again, second] = [
      await authorize('Bearer first-key', access),
      await authorize('bearer  first-key', access),
      await authorize('Bearer second-key', access),
    ];
    expect(again).toBe(first);
    expect(second).not.toBe(first);
    expect(first).not.toContain(await digestOf('first-key'));
  });

  it('enforces keys in development too, once there are some', async () => {
    expect((await send({ ...(await withKeys()), NEARSIDE_DEV: '1' }, '/v1/models')).status).toBe(401);
  });

  it('is closed without keys and without NEARSIDE_DEV, wherever the client says it is', async () => {
    for (const host of ['localhost', '127.0.0.1:8787']) {
      const response = await send({}, '/v1/models', { headers: { host } });
      expect(response.headers.get('retry-after')).toBe('60');
      // OpenAI's clients would wait for that twice before they say a word.
      expect(response.headers.get('x-should-retry')).toBe('false');
      expect(await failure(response)).toMatchObject({ status: 503, code: 'auth_not_configured' });
    }
  });

  it('leaves health open', async () => {
    expect((await send({}, '/healthz')).status).toBe(200);
    expect((await send(await withKeys(), '/readyz')).status).toBe(200);
    expect((await send(edgeOnly(), '/healthz')).status).toBe(200);
  });
});

describe('constantTimeEqual', () => {
  it('tells digests apart wherever they differ', () => {
    const digest = new Uint8Array(32).fill(7);
    expect(constantTimeEqual(digest, digest.slice())).toBe(true);
    for (const at of [0, 15, 31]) expect(constantTimeEqual(digest, digest.with(at, 8))).toBe(false);
    expect(constantTimeEqual(digest, digest.slice(1))).toBe(false);
  });
});
