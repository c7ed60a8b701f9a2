import { describe, expect, it } from 'vitest';
import { ConfigError, type Env, parseConfig } from '../../../worker/config.ts';

const nine = {
  model: 'Qwen/Qwen3.5-9B',
  modalities: ['text', 'image'],
  context: 32768,
  price: { input: 0.1, output: 0.4 },
  fallback: ['qwen-4b', 'edge'],
  timeouts: { first_token_ms: 20_000, idle_ms: 5_000 },
  endpoints: [
    { name: 'gpu-1', url: 'https://gpu-1.example.com/v1/', kind: 'vllm', region: 'eu', weight: 2, secret: 'NEARSIDE_ORIGIN_KEY_GPU1' },
    { url: 'http://10.0.0.7:30000/v1', kind: 'sglang', model: 'default', priority: 1, context: 8192, binding: 'ORIGIN_VPC' },
  ],
};
const four = {
  model: 'qwen-4b',
  modalities: ['text'],
  endpoints: [{ url: 'http://10.0.0.8:8080/v1', kind: 'llama-server' }],
  retries: 0,
  hedging: false,
};
const bindings = { NEARSIDE_ORIGIN_KEY_GPU1: 'gpu-secret', ORIGIN_VPC: { fetch: () => new Response() } };

const parse = (pools: unknown, more: object = {}) =>
  parseConfig({ ...bindings, NEARSIDE_ORIGINS: JSON.stringify(pools), ...more } as Env).origins.pools;
const problem = (pools: unknown, more: object = {}): string => {
  try {
    parse(pools, more);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  return 'none';
};

describe('NEARSIDE_ORIGINS', () => {
  it('describes pools; endpoints inherit what they do not say themselves', () => {
    const [big, small] = parse([nine, four]);
    expect(big).toMatchObject({
      model: 'Qwen/Qwen3.5-9B',
      fallback: ['qwen-4b', 'edge'],
      retries: 2,
      hedging: true,
      timeouts: { headers: 30_000, firstToken: 20_000, thinkingFirstToken: 60_000, idle: 5_000, total: 600_000 },
    });
    expect(big!.endpoints).toEqual([
      {
        name: 'gpu-1',
        url: 'https://gpu-1.example.com/v1',
        kind: 'vllm',
        model: 'Qwen/Qwen3.5-9B',
        region: 'eu',
        weight: 2,
        priority: 0,
        price: { input: 0.1, output: 0.4 },
        context: 32768,
        modalities: ['text', 'image'],
        key: 'gpu-secret',
        binding: null,
      },
      expect.objectContaining({
        name: '10.0.0.7:30000',
        model: 'default',
        weight: 1,
        priority: 1,
        context: 8192,
        key: null,
        binding: 'ORIGIN_VPC',
      }),
    ]);
    expect(small).toMatchObject({ retries: 0, hedging: false, timeouts: { firstToken: 60_000 }, endpoints: [{ modalities: ['text'] }] });
  });

  it('may be a TOML table, and stands beside the simple form', () => {
    const env = { ...bindings, NEARSIDE_ORIGINS: [four], NEARSIDE_ORIGIN_URL: 'http://a/v1', NEARSIDE_ORIGIN_MODEL: 'm' };
    expect(parseConfig(env as unknown as Env).origins.pools.map((pool) => pool.model)).toEqual(['m', 'qwen-4b']);
  });

  const withEndpoint = (change: object) => [
    {
      ...four,
      endpoints: [
        { name: 'a', url: 'http://a/v1' },
        { name: 'b', url: 'http://b/v1', ...change },
      ],
    },
  ];
  const at = 'NEARSIDE_ORIGINS: pool "qwen-4b", endpoint "b": ';

  it.each<[string, unknown, string]>([
    ['no list', {}, 'NEARSIDE_ORIGINS is not valid: it must be a list of pools, each with model and endpoints.'],
    ['a pool that is none', [3], 'NEARSIDE_ORIGINS: pool 1: it must be an object.'],
    ['a pool without a model', [four, { endpoints: [] }], 'NEARSIDE_ORIGINS: pool 2: model must be printable ASCII without spaces.'],
    ['no endpoints', [{ ...four, endpoints: [] }], 'NEARSIDE_ORIGINS: pool "qwen-4b": endpoints must be a list of 1 to 100 endpoints.'],
    [
      'a URL without /v1',
      withEndpoint({ url: 'http://b' }),
      `${at}url must be an http or https URL that ends in /v1, without credentials or query.`,
    ],
    ['an unknown kind', withEndpoint({ kind: 'tgi' }), `${at}kind must be one of vllm, sglang, llama-server, openai.`],
    ['a weight of nothing', withEndpoint({ weight: 0 }), `${at}weight must be a number over 0, at most 1000.`],
    [
      'a modality nobody has',
      withEndpoint({ modalities: ['smell'] }),
      `${at}modalities.0 must be a list of text, image, audio, video, file.`,
    ],
    ['a misspelt setting', withEndpoint({ wieght: 2 }), `${at}there is no setting wieght; those there are: name, url, kind, model,`],
    [
      'a misspelt timeout',
      [{ ...four, timeouts: { idle: 3 } }],
      'timeouts.idle does not belong there; timeouts must be an object with some of headers_ms,',
    ],
    [
      'a price of two kinds',
      [{ ...four, price: { gpu_hour: 1, input: 1 } }],
      'price.input does not belong there; price must be an object with input and output, dollars per million tokens; or with gpu_hour,',
    ],
    [
      'a timeout of no time',
      [{ ...four, timeouts: { idle_ms: 0 } }],
      'pool "qwen-4b": timeouts.idle_ms must be an object with some of headers_ms,',
    ],
    ['a secret that is not set', withEndpoint({ secret: 'NEARSIDE_ORIGIN_KEY_B' }), `${at}its secret NEARSIDE_ORIGIN_KEY_B is not set;`],
    ["a secret that is not an origin's", withEndpoint({ secret: 'NEARSIDE_API_KEYS' }), `${at}secret must be the name of a secret:`],
    ['a binding that is not there', withEndpoint({ binding: 'ORIGIN_X' }), `${at}there is no binding ORIGIN_X to fetch through;`],
    ['the same name twice', withEndpoint({ name: 'a' }), 'NEARSIDE_ORIGINS: pool "qwen-4b": two endpoints are called "a";'],
    ['the same model twice', [four, four], 'NEARSIDE_ORIGINS: pool "qwen-4b": its model must be a name that no other pool has'],
    ['the reserved name', [{ ...four, model: 'nearside-auto' }], 'pool "nearside-auto": its model must be'],
    [
      'a fallback to nobody',
      [{ ...four, fallback: ['x'] }],
      'NEARSIDE_ORIGINS: pool "qwen-4b": fallback must name other pools\' models or edge, and "x" is neither.',
    ],
    ['a fallback to itself', [{ ...four, fallback: ['qwen-4b'] }], 'and "qwen-4b" is neither.'],
  ])('refuses %s by name', (_, pools, message) => {
    expect(problem(pools)).toContain(message);
  });

  it('refuses what is not JSON, and names that mean two things', () => {
    expect(problem([], { NEARSIDE_ORIGINS: '[{' })).toMatch(/^NEARSIDE_ORIGINS is not valid: it must be JSON \(.+\)\.$/);
    expect(problem([four], { NEARSIDE_EDGE_MODEL: 'qwen-4b' })).toContain('pool "qwen-4b" has the name of NEARSIDE_EDGE_MODEL');
    expect(problem([four], { NEARSIDE_ORIGIN_URL: 'http://a/v1', NEARSIDE_ORIGIN_MODEL: 'qwen-4b' })).toContain('keep one of the two');
  });

  it('tells no secret', () => {
    expect(problem(withEndpoint({ secret: 'NEARSIDE_ORIGIN_KEY_B' }), { NEARSIDE_ORIGIN_KEY_B: 'two words' })).toMatch(
      /^NEARSIDE_ORIGIN_KEY_B is not valid/,
    );
    expect(problem(withEndpoint({ url: 'https://user:hunter2@b/v1' }))).not.toContain('hunter2');
  });
});
