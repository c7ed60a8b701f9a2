import { describe, expect, it } from 'vitest';
import { ConfigError, type Env, parseConfig } from '../../worker/config.ts';

const digest = 'a'.repeat(64);
const problem = (env: Env): string => {
  try {
    parseConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  return 'none';
};

describe('config', () => {
  it('has defaults for everything', () => {
    expect(parseConfig({})).toMatchObject({
      edge: { model: null, maxPromptTokens: 256, maxTokens: 128, server: null, prefixCache: 'key' },
      origins: { pools: [] },
      region: null,
      images: {
        maxBytes: 8388608,
        maxTotalBytes: 7864320,
        maxCount: 16,
        maxPixels: 50_000_000,
        media: { maxBytes: 8388608, maxCount: 16 },
        fetch: false,
        timeoutMs: 10_000,
        dns: null,
      },
      http: { keepAliveMs: 500, commitAfterMs: 2000 },
      access: { keyDigests: [], open: false },
    });
  });

  it('reads an origin and keys; an empty variable is an absent one', () => {
    const config = parseConfig({
      NEARSIDE_ORIGIN_URL: 'https://gpu.example.com/api/v1/',
      NEARSIDE_ORIGIN_MODEL: 'Qwen/Qwen3.5-9B',
      NEARSIDE_ORIGIN_KEY: '',
      NEARSIDE_API_KEYS: `${digest}, ${digest.toUpperCase()}\n`,
      NEARSIDE_EDGE_MAX_TOKENS: ' 64 ',
    });
    expect(config.origins.pools).toMatchObject([
      {
        model: 'Qwen/Qwen3.5-9B',
        endpoints: [{ url: 'https://gpu.example.com/api/v1', model: 'Qwen/Qwen3.5-9B', kind: 'openai', key: null }],
      },
    ]);
    expect(config.access.keyDigests).toHaveLength(2);
    expect(config.edge.maxTokens).toBe(64);
  });

  it('switches the difficulty model on only where it is bound', () => {
    expect(parseConfig({}).difficulty).toBe(false);
    expect(parseConfig({ NEARSIDE_DIFFICULTY: '1', DIFFICULTY: { fetch } as Fetcher }).difficulty).toBe(true);
    expect(problem({ NEARSIDE_DIFFICULTY: '1' })).toContain('no service bound as DIFFICULTY');
  });

  it.each<[keyof Env & string, string]>([
    ['NEARSIDE_EDGE_MAX_TOKENS', 'many'],
    ['NEARSIDE_EDGE_MAX_PROMPT_TOKENS', '-1'],
    ['NEARSIDE_KEEPALIVE_MS', '0'],
    ['NEARSIDE_MAX_BODY_BYTES', '1.5'],
    ['NEARSIDE_ORIGIN_URL', 'https://gpu.example.com'],
    ['NEARSIDE_ORIGIN_URL', 'ftp://gpu.example.com/v1'],
    ['NEARSIDE_ORIGIN_URL', 'gpu.example.com/v1'],
    ['NEARSIDE_API_KEYS', 'sk-not-a-digest'],
    ['NEARSIDE_ORIGIN_URL', 'https://user:secret@gpu.example.com/v1'],
    ['NEARSIDE_ORIGIN_KEY', 'two words'],
    ['NEARSIDE_EDGE_MODEL', '模型'],
    ['NEARSIDE_EDGE_URL', 'https://user:secret@edge.example.com'],
    ['NEARSIDE_EDGE_URL', 'edge.example.com'],
    ['NEARSIDE_EDGE_KEY', 'two words'],
    ['NEARSIDE_EDGE_PREFIX_CACHE', 'yes'],
    ['NEARSIDE_IMAGE_MAX_BYTES', '0'],
    ['NEARSIDE_FETCH_IMAGES', 'true'],
    ['NEARSIDE_IMAGE_DNS', 'http://dns.example.com/dns-query'],
    ['NEARSIDE_DEV', 'yes'],
    ['NEARSIDE_EDGE_REGIONS', 'weur,mars'],
    ['NEARSIDE_EDGE_REPLICAS', '0'],
  ])('%s = %s is refused in one sentence that names it and not the value', (name, value) => {
    const message = problem({ [name]: value });
    expect(message).toMatch(new RegExp(`^${name} is not valid: it must be .+\\.$`));
    if (/KEY|URL/.test(name)) expect(message).not.toContain(value);
  });

  it.each<[string, Env, RegExp]>([
    ['an origin without a model', { NEARSIDE_ORIGIN_URL: 'http://a/v1' }, /NEARSIDE_ORIGIN_MODEL is not/],
    ['a model without an origin', { NEARSIDE_ORIGIN_MODEL: 'm' }, /NEARSIDE_ORIGIN_URL is not/],
    [
      'one name for two routes',
      { NEARSIDE_ORIGIN_URL: 'http://a/v1', NEARSIDE_ORIGIN_MODEL: 'm', NEARSIDE_EDGE_MODEL: 'm' },
      /two different names/,
    ],
    ['the reserved name', { NEARSIDE_EDGE_MODEL: 'nearside-auto' }, /nearside-auto/],
  ])('%s is refused', (_, env, expected) => {
    expect(problem(env)).toMatch(expected);
  });
});
