import { describe, expect, it } from 'vitest';
import { constantTimeEqual } from '../../worker/access/keys.ts';
import { chat, edgeOnly, failure, send } from './support.ts';

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

  it('checks the key before it reads the body', async () => {
    const response = await send(await withKeys(), '/v1/chat/completions', { method: 'POST', body: 'not JSON' });
    expect(response.status).toBe(401);
  });

  it('refuses a key that another gateway has accepted, and a wrong one after a right one', async () => {
    const env = await withKeys();
    for (const status of [200, 200]) expect((await send(env, '/v1/models', bearer('first-key'))).status).toBe(status);
    expect((await send(env, '/v1/models', bearer('first-kex'))).status).toBe(401);
    expect((await send({ NEARSIDE_API_KEYS: await digestOf('second-key') }, '/v1/models', bearer('first-key'))).status).toBe(401);
  });

  it('enforces keys in development too, once there are some', async () => {
    expect((await send({ ...(await withKeys()), NEARSIDE_DEV: '1' }, '/v1/models')).status).toBe(401);
  });

  it('is closed without keys and without NEARSIDE_DEV, wherever the client says it is', async () => {
    for (const host of ['localhost', '127.0.0.1:8787']) {
      const response = await send({}, '/v1/models', { headers: { host } });
      expect(response.headers.get('retry-after')).toBe('60');
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
