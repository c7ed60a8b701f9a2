import { describe, expect, it } from 'vitest';
import { chat, edgeOnly, failure, type Variables } from './support.ts';

const digestOf = async (key: string) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))).toHex();
const KEYS = ['first-key', 'second-key'];
const withKeys = async (variables: Variables = {}): Promise<Variables> => ({
  NEARSIDE_API_KEYS: (await Promise.all(KEYS.map(digestOf))).join(),
  ...variables,
});

/** The scope that the engine is told for a call with this key. */
async function scopeOf(variables: Variables, key?: string): Promise<unknown> {
  const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
  const response = await chat(variables, 'echo', {}, { headers });
  const { choices } = (await response.json()) as { choices: [{ message: { content: string } }] };
  return JSON.parse(choices[0].message.content).cacheScope;
}

describe('evaluated prompts are shared', () => {
  it('between the calls of one key only, and the engine learns nothing of the key', async () => {
    const variables = await withKeys();
    const [first, again, second] = await Promise.all(['first-key', 'first-key', 'second-key'].map((key) => scopeOf(variables, key)));
    expect(first).toBe(again);
    expect(first).toMatch(/^[0-9a-f]{32}$/);
    expect(second).not.toBe(first);
    expect(await digestOf('first-key')).not.toContain(first);
  });

  it('by everyone or by nobody where that is configured', async () => {
    const shared = await withKeys({ NEARSIDE_EDGE_PREFIX_CACHE: 'shared' });
    expect(await scopeOf(shared, 'first-key')).toBe(await scopeOf(shared, 'second-key'));
    expect(await scopeOf(await withKeys({ NEARSIDE_EDGE_PREFIX_CACHE: 'off' }), 'first-key')).toBeNull();
  });

  it('while developing without keys', async () => {
    expect(await scopeOf(edgeOnly())).toBe('anyone');
  });
});

it('an engine of its own that does not listen is no edge model', async () => {
  const variables = edgeOnly({ NEARSIDE_EDGE_URL: 'http://127.0.0.1:9', NEARSIDE_EDGE_MODEL: 'edge-test' });
  expect(await failure(await chat(variables, 'hello'))).toMatchObject({ status: 503, code: 'no_route' });
});
