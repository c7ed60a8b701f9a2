import { describe, expect, it } from 'vitest';
import { ConfigError, type Env, parseConfig } from '../../../worker/config.ts';
import { chat, edgeOnly, endpoint, failure, seenByEngine, seenByOrigin, withOrigin, withPools } from '../support.ts';

const keys = { one: 'key-one', two: 'key-two' };
const digestOf = async (key: string) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))).toHex();
const digests = { one: await digestOf(keys.one), two: await digestOf(keys.two) };
const bearer = (key: string, more: Record<string, string> = {}) => ({ headers: { authorization: `Bearer ${key}`, ...more } });
const policy = (name: string) => ({ headers: { 'x-nearside-policy': name } });
const route = (response: Response) => response.headers.get('x-nearside-route');
const reason = (response: Response) => response.headers.get('x-nearside-reason');

describe('the policy of a request', () => {
  it('is the one that its header names', async () => {
    for (const [name, expected, why] of [
      ['origin-only', 'origin', 'origin_only'],
      ['edge-only', 'edge', 'edge_only'],
      ['edge-first', 'edge', 'edge_first'],
    ] as const) {
      const response = await chat(withOrigin(), 'hello', {}, policy(name));
      expect([route(response), reason(response)]).toEqual([expected, why]);
    }
  });

  it('is told where it leaves no route', async () => {
    const response = await chat(withOrigin(), 'hello', { n: 2 }, policy('edge-only'));
    expect(await failure(response)).toMatchObject({ status: 403, code: 'route_not_allowed' });
    expect(await failure(await chat(withOrigin(), 'hello', { model: 'origin-test' }, policy('edge-only')))).toMatchObject({
      status: 403,
      code: 'route_not_allowed',
    });
  });

  it.each([
    ['x-nearside-policy', 'cheapest'],
    ['x-nearside-policy', 'constructor'],
    ['x-nearside-max-ttft-ms', 'soon'],
    ['x-nearside-max-ttft-ms', '0'],
    ['x-nearside-max-ttft-ms', '-5'],
    ['x-nearside-max-ttft-ms', '600001'],
    ['x-nearside-max-ttft-ms', '1e3'],
  ])('is 400 for %s: %s', async (name, value) => {
    const error = await failure(await chat(withOrigin(), 'hello', {}, { headers: { [name]: value } }));
    expect(error).toMatchObject({ status: 400, code: 'invalid_value', type: 'invalid_request_error', param: name });
  });

  it('may have a target for the first token, which decides where only one route keeps it', async () => {
    // The origin is expected at 180 ms and more, the edge model, which is loaded, with its first token within 200 ms.
    const reasons = async (ms: string) => reason(await chat(withOrigin(), 'hi', {}, { headers: { 'x-nearside-max-ttft-ms': ms } }));
    expect(await reasons('1')).toMatch(/^latency_target/);
    expect(await reasons('600000')).not.toMatch(/latency_target/);
  });
});

describe('the policy of a deployment', () => {
  it('holds where nothing else is said', async () => {
    expect(route(await chat(withOrigin({ NEARSIDE_POLICY: 'origin-only' }), 'hello'))).toBe('origin');
    expect(route(await chat(withOrigin({ NEARSIDE_POLICY: '{"policy":"edge-only"}' }), 'hello'))).toBe('edge');
  });

  it('that leaves one route is not overridden by a header', async () => {
    const gateway = withOrigin({ NEARSIDE_POLICY: 'edge-only' });
    for (const name of ['balanced', 'latency', 'edge-first']) {
      const response = await chat(gateway, 'hello', { max_tokens: undefined }, policy(name));
      expect([route(response), reason(response)]).toEqual(['edge', 'edge_only, edge_max_tokens_cap']);
    }
    expect(await failure(await chat(gateway, 'hello', {}, policy('origin-only')))).toMatchObject({
      status: 403,
      code: 'route_not_allowed',
      param: 'x-nearside-policy',
    });
  });

  it('may weigh time, money and quality differently', async () => {
    const onlyQuality = '{"weights":{"cost":0,"latency":0,"quality":1}}';
    const response = await chat(withOrigin({ NEARSIDE_POLICY: onlyQuality }), 'hello');
    expect([route(response), reason(response)]).toEqual(['origin', 'better_answer']);
  });

  it('may set the least quality, which then holds whatever a GPU costs; the default gives way', async () => {
    const asleep = { NEARSIDE_ORIGIN_PRICE: '{"gpu_hour":1}' };
    const noLimit = async (set: string) =>
      reason(await chat(withOrigin({ ...asleep, NEARSIDE_POLICY: set }), 'hello', { max_tokens: undefined }));
    expect(await noLimit('balanced')).toMatch(/^floor_yields, cheaper/);
    expect(await noLimit('{"min_quality":0.6}')).toBe('no_max_tokens');
    expect(await noLimit('{"min_quality":0}')).toMatch(/^cheaper/);
  });

  it('keeps data in its region: only its endpoints are asked, whatever fails', async () => {
    const pools = [{ model: 'pool', endpoints: [endpoint('far', { region: 'na' }), endpoint('near', { region: 'eu', weight: 0.001 })] }];
    const gateway = withPools(pools, { NEARSIDE_POLICY: '{"residency":["eu"]}' });
    for (let i = 0; i < 5; i++) {
      const response = await chat(gateway, `hello ${i}`, {}, { headers: { 'x-request-id': `region-${i}` } });
      expect(reason(response)).toBe('residency');
      expect(await seenByOrigin(`region-${i}`)).toMatchObject({ endpoint: 'near' });
    }
    const failed = await chat(gateway, 'near> status 500', {}, { headers: { 'x-request-id': 'region-failed' } });
    expect(failed.status).toBe(502);
    expect(await seenByOrigin('region-failed')).toMatchObject({ endpoint: 'near' });
  });

  it('and what the endpoints there cost is what a pool costs', async () => {
    const price = (usd: number) => ({ price: { input: 0, output: usd } });
    const pools = [
      { model: 'pool', endpoints: [endpoint('far', { region: 'na', ...price(1) }), endpoint('near', { region: 'eu', ...price(10) })] },
    ];
    const usd = async (residency: string[]) => {
      const response = await chat(withPools(pools, { NEARSIDE_POLICY: JSON.stringify({ residency }) }), 'hello', { max_tokens: 1 });
      return Number(/origin [^;]*usd=([\d.]+)/.exec(response.headers.get('x-nearside-estimate')!)?.[1]);
    };
    expect(await usd(['edge', 'na', 'eu'])).toBe(0.000001);
    expect(await usd(['edge', 'eu'])).toBe(0.00001);
  });

  it('and a fallback outside of the region is none', async () => {
    const pools = [
      { model: 'near', endpoints: [endpoint('near', { region: 'eu' })], fallback: ['far'], retries: 0 },
      { model: 'far', endpoints: [endpoint('far', { region: 'na' })] },
    ];
    const gateway = withPools(pools, { NEARSIDE_POLICY: '{"residency":["eu"]}' });
    expect((await chat(gateway, 'near> status 500', { model: 'near' })).status).toBe(502);
    expect(await failure(await chat(gateway, 'hello', { model: 'far' }))).toMatchObject({ status: 403, code: 'route_not_allowed' });
  });
});

describe('the policy of a key', () => {
  const gateway = (policies: object, more = {}) =>
    withOrigin({ NEARSIDE_API_KEYS: `${digests.one} ${digests.two}`, NEARSIDE_KEY_POLICIES: JSON.stringify(policies), ...more });

  it("holds for its requests and nobody else's", async () => {
    const set = gateway({ [digests.one.slice(0, 8)]: 'origin-only' });
    expect(route(await chat(set, 'hello', {}, bearer(keys.one)))).toBe('origin');
    expect(route(await chat(set, 'hello', {}, bearer(keys.two)))).toBe('edge');
  });

  it('counts before that of the deployment, and not before its residency', async () => {
    const set = gateway({ [digests.one]: { policy: 'balanced' } }, { NEARSIDE_POLICY: 'origin-only' });
    expect(route(await chat(set, 'hello', {}, bearer(keys.one)))).toBe('edge');
    expect(route(await chat(set, 'hello', {}, bearer(keys.two)))).toBe('origin');
    const confined = gateway({ [digests.one]: { policy: 'origin-only' } }, { NEARSIDE_POLICY: '{"residency":["edge"]}' });
    expect(await failure(await chat(confined, 'hello', {}, bearer(keys.one)))).toMatchObject({ status: 403, code: 'route_not_allowed' });
  });

  it('that names the one in force anyway keeps what the deployment set with it', async () => {
    const reasons = async (deployment: string, key: string) => {
      const more = { NEARSIDE_POLICY: deployment, NEARSIDE_ORIGIN_PRICE: '{"gpu_hour":1}' };
      return reason(await chat(gateway({ [digests.one]: key }, more), 'hello', { max_tokens: undefined }, bearer(keys.one)));
    };
    expect(await reasons('{"min_quality":0.6}', 'balanced')).toBe('no_max_tokens');
    expect(await reasons('{"policy":"balanced","min_quality":0.6}', 'balanced')).toBe('no_max_tokens');
    expect(await reasons('{"policy":"cost","min_quality":0.6}', 'balanced')).toMatch(/^floor_yields/);
  });

  it('is not widened by a header: data that stays at the edge never reaches an origin', async () => {
    const set = gateway({ [digests.one]: { residency: ['edge'] } });
    const id = 'never-there';
    for (const name of ['origin-only', 'latency', 'balanced']) {
      const response = await chat(set, 'hello', {}, bearer(keys.one, { 'x-nearside-policy': name, 'x-request-id': id }));
      if (name === 'origin-only') expect(response.status).toBe(403);
      else expect(route(response)).toBe('edge');
    }
    expect((await chat(set, 'hello', { n: 2 }, bearer(keys.one, { 'x-request-id': id }))).status).toBe(403);
    expect((await chat(set, 'fail late', {}, bearer(keys.one, { 'x-request-id': id }))).status).not.toBe(200);
    expect(await seenByOrigin(id)).toBe(null);
  });

  it('may keep data away from the edge', async () => {
    const { requests } = await seenByEngine();
    const set = gateway({ [digests.one]: { residency: ['eu'] } });
    expect((await chat(set, 'hello', {}, bearer(keys.one, { 'x-nearside-policy': 'edge-only' }))).status).toBe(403);
    expect(await seenByEngine()).toMatchObject({ requests });
  });
});

describe('settings', () => {
  const problem = (env: Record<string, unknown>): string => {
    try {
      parseConfig({ NEARSIDE_API_KEYS: `${digests.one},${digests.two}`, ...env } as Env);
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
    return 'none';
  };

  it.each<[string, Record<string, unknown>, string]>([
    ['no such policy', { NEARSIDE_POLICY: 'best' }, 'NEARSIDE_POLICY is not valid: it must be one of balanced,'],
    ['no such policy in an object', { NEARSIDE_POLICY: '{"policy":"best"}' }, 'NEARSIDE_POLICY: policy must be one of balanced,'],
    ['a misspelt setting', { NEARSIDE_POLICY: '{"wieghts":{}}' }, 'NEARSIDE_POLICY: there is no setting wieghts; those there are: policy,'],
    ['half of the weights', { NEARSIDE_POLICY: { weights: { cost: 1 } } }, 'NEARSIDE_POLICY: weights.latency must be an object with cost,'],
    ['no JSON', { NEARSIDE_POLICY: '{policy' }, 'NEARSIDE_POLICY is not valid: it must be JSON'],
    ['residency nowhere', { NEARSIDE_POLICY: { residency: [] } }, 'NEARSIDE_POLICY: residency must be a list of the places'],
    ['a list of key policies', { NEARSIDE_KEY_POLICIES: '[]' }, 'NEARSIDE_KEY_POLICIES is not valid: it must be an object'],
    ['a key nobody has', { NEARSIDE_KEY_POLICIES: { '0123456789': 'cost' } }, 'NEARSIDE_KEY_POLICIES: entry "01234567": it fits no key of'],
    ['too short a beginning', { NEARSIDE_KEY_POLICIES: { ab: 'cost' } }, 'NEARSIDE_KEY_POLICIES: entry 1: it fits no key of'],
    [
      'a wrong policy of a key',
      { NEARSIDE_KEY_POLICIES: { [digests.one]: { max_ttft_ms: 0 } } },
      `NEARSIDE_KEY_POLICIES: entry "${digests.one.slice(0, 8)}": max_ttft_ms must be a whole number`,
    ],
    ['no such place', { NEARSIDE_EDGE_PRICE: 'moon' }, 'NEARSIDE_EDGE_PRICE: place must be one of worker, durable-object, container, own.'],
    [
      'a price of nobody',
      { NEARSIDE_ORIGIN_PRICE: '{"input":1}' },
      'NEARSIDE_ORIGIN_PRICE is not valid: it must be an object with input and',
    ],
  ])('%s is refused by name', (_, env, message) => {
    expect(problem({ NEARSIDE_ORIGIN_URL: 'http://a/v1', NEARSIDE_ORIGIN_MODEL: 'm', ...env })).toContain(message);
  });

  it('a key in the place of its digest is not repeated', () => {
    expect(problem({ NEARSIDE_KEY_POLICIES: { 'sk-my-secret-key': 'cost' } })).not.toContain('sk-my');
  });

  it('say what things cost, by default where the engine runs', () => {
    const edgePrice = (env: object) => parseConfig(env as Env).edge.price;
    expect(edgePrice({})).toMatchObject({ by: 'duration', objects: 1 });
    expect(edgePrice({ NEARSIDE_EDGE_URL: 'http://a' })).toMatchObject({ by: 'hour', usdPerHour: 0.05 });
    expect(edgePrice({ NEARSIDE_EDGE_PRICE: '{"place":"durable-object","objects":6}' })).toMatchObject({ by: 'duration', objects: 6 });
    expect(edgePrice({ NEARSIDE_EDGE_PRICE: { place: 'own', usd_per_hour: 0.2 } })).toEqual({ by: 'hour', usdPerHour: 0.2 });
    const originPrice = (value: unknown) =>
      parseConfig({ NEARSIDE_ORIGIN_URL: 'http://a/v1', NEARSIDE_ORIGIN_MODEL: 'm', NEARSIDE_ORIGIN_PRICE: value } as Env).origins.pools[0]!
        .endpoints[0]!.price;
    expect(originPrice(undefined)).toBe(null);
    expect(originPrice('{"input":0.1,"output":0.3}')).toEqual({ input: 0.1, output: 0.3 });
    expect(originPrice({ gpu_hour: 0.8, keep_seconds: null })).toMatchObject({
      by: 'gpu-hour',
      usdPerHour: 0.8,
      slots: 32,
      keepSeconds: null,
    });
  });

  it('prices change where a request goes', async () => {
    const always = withOrigin({
      NEARSIDE_ORIGIN_PRICE: '{"gpu_hour":1,"keep_seconds":null}',
      NEARSIDE_EDGE_PRICE: '{"place":"own","usd_per_hour":50}',
    });
    expect(route(await chat(always, 'hello'))).toBe('origin');
    expect(route(await chat(edgeOnly(), 'hello'))).toBe('edge');
  });
});
