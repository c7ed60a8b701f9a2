import { describe, expect, it } from 'vitest';
import { Endpoint, type Observation } from '../../../worker/origin/endpoint.ts';
import { Pool } from '../../../worker/origin/pool.ts';
import type { EndpointConfig, PoolConfig } from '../../../worker/origin/pool-config.ts';
import { endpointConfig as config } from './endpoint-config.ts';

const now = 1_000_000;
const timeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
const poolOf = (endpoints: EndpointConfig[], more: Partial<PoolConfig> = {}, region: string | null = null) =>
  new Pool({ model: 'm', endpoints, fallback: [], timeouts, retries: 2, hedging: true, ...more }, region);
const demand = { key: 'key', promptTokens: 100, modalities: ['text'] };
const seen = (more: Partial<Observation>): Observation => ({
  at: now,
  alive: true,
  waiting: 0,
  running: 0,
  kvUse: 0,
  ttftMs: null,
  ...more,
});

describe('an endpoint', () => {
  it('counts what it has been sent until the first token', () => {
    const endpoint = new Endpoint(config('a'));
    const flight = endpoint.sent(300, now);
    endpoint.sent(200, now);
    expect(endpoint.queuedTokens(now)).toBe(500);
    endpoint.answered(flight, now + 100, true);
    expect(endpoint.queuedTokens(now)).toBe(200);
    expect(endpoint.inFlight).toBe(2);
    endpoint.left(flight);
    endpoint.left(flight);
    expect(endpoint.inFlight).toBe(1);
  });

  it("adds others' requests that the monitor saw, not its own twice, and forgets them as the figures age", () => {
    const endpoint = new Endpoint(config('a'));
    endpoint.observe(seen({ waiting: 4 }));
    expect(endpoint.queuedTokens(now)).toBe(4 * 512);
    expect(endpoint.queuedTokens(now + 5_000)).toBe(2 * 512);
    expect(endpoint.queuedTokens(now + 120_000)).toBeLessThan(1);
    endpoint.sent(100, now - 10);
    // One of the four is our own; the others' prompts are taken to be as long as ours.
    expect(endpoint.queuedTokens(now)).toBe(100 + 3 * 100);
  });

  it('learns how slow it is, and forgets', () => {
    const endpoint = new Endpoint(config('a'));
    const prior = endpoint.slowness(now);
    for (let i = 0; i < 20; i++) endpoint.answered(endpoint.sent(744, now - 5_000), now, true);
    expect(endpoint.slowness(now)).toBeGreaterThan(2 * prior);
    expect(endpoint.slowness(now + 3_600_000)).toBeCloseTo(prior, 5);
  });

  it('is full when a server with slots has requests waiting, and others when their cache is', () => {
    const slots = new Endpoint(config('a', { kind: 'llama-server' }));
    slots.observe(seen({ waiting: 1 }));
    expect(slots.isFull(now)).toBe(true);
    expect(slots.isFull(now + 60_000)).toBe(false);
    const vllm = new Endpoint(config('b'));
    vllm.observe(seen({ waiting: 1 }));
    expect(vllm.isFull(now)).toBe(false);
    vllm.observe(seen({ waiting: 1, kvUse: 0.95 }));
    expect(vllm.isFull(now)).toBe(true);
  });

  it('is tried again when the monitor finds it back, and not because the monitor has found it all the time', () => {
    const endpoint = new Endpoint(config('a'));
    endpoint.observe(seen({ alive: true }));
    breakDown(endpoint);
    endpoint.observe(seen({ alive: true }));
    expect(endpoint.isAvailable(now)).toBe(false);
    endpoint.observe(seen({ alive: false }));
    expect(endpoint.isAvailable(now)).toBe(false);
    endpoint.observe(seen({ alive: true }));
    expect(endpoint.isAvailable(now)).toBe(true);
  });

  it('is never put out by what the monitor did not see', () => {
    const endpoint = new Endpoint(config('a'));
    endpoint.observe(seen({ alive: false }));
    expect(endpoint.isAvailable(now)).toBe(true);
  });
});

const breakDown = (endpoint: Endpoint) => {
  for (let i = 0; i < 3; i++) endpoint.failed('unreachable', null, now);
};

describe('a pool', () => {
  it('avoids who is out, but never the last one', () => {
    const pool = poolOf([config('a'), config('b')]);
    breakDown(pool.endpoints[0]!);
    for (let i = 0; i < 20; i++) expect(pool.choose({ ...demand, key: `${i}` }, now)!.config.name).toBe('b');
    breakDown(pool.endpoints[1]!);
    expect(pool.choose(demand, now)).not.toBe(null);
  });

  it('avoids who has asked for a pause, while there is another', () => {
    const pool = poolOf([config('a'), config('b')]);
    pool.endpoints[1]!.failed('overloaded', 5_000, now);
    for (let i = 0; i < 20; i++) expect(pool.choose({ ...demand, key: `${i}` }, now)!.config.name).toBe('a');
    pool.endpoints[0]!.failed('overloaded', 5_000, now);
    expect(pool.choose(demand, now)).not.toBe(null);
    expect(pool.isSaturated(now)).toBe(true);
    expect(pool.isSaturated(now + 5_001)).toBe(false);
  });

  it('asks those of its own region, and others when these are full', () => {
    const pool = poolOf([config('here', { region: 'eu' }), config('far', { region: 'us' }), config('anywhere')], {}, 'eu');
    const chosen = () => new Set(Array.from({ length: 60 }, (_, i) => pool.choose({ ...demand, key: `key ${i}` }, now)!.config.name));
    expect(chosen()).toEqual(new Set(['here', 'anywhere']));
    for (const name of ['here', 'anywhere'])
      pool.endpoints.find((endpoint) => endpoint.config.name === name)!.observe(seen({ waiting: 5, kvUse: 0.95 }));
    expect(chosen()).toContain('far');
  });

  it('asks who can read and hold the prompt', () => {
    const pool = poolOf([
      config('text', { modalities: ['text'] }),
      config('short', { context: 50 }),
      config('right', { modalities: ['text', 'image'] }),
    ]);
    expect(pool.choose({ ...demand, modalities: ['text', 'image'] }, now)!.config.name).toBe('right');
    expect([pool.reads(['text', 'image']), pool.reads(['text', 'audio'])]).toEqual([true, false]);
    expect(poolOf([config('text', { modalities: ['text'] })]).reads(['image'])).toBe(false);
    expect(pool.holds(1_000_000)).toBe(true);
    expect(poolOf([config('short', { context: 50 })]).holds(51)).toBe(false);
  });

  it('puts out the one that is much slower than its peers', () => {
    const pool = poolOf(['a', 'b', 'c', 'd'].map((name) => config(name)));
    for (let i = 0; i < 12; i++) {
      for (const endpoint of pool.endpoints.filter((candidate) => candidate.isAvailable(now))) {
        const flight = endpoint.sent(100, now - (endpoint.config.name === 'c' ? 20_000 : 200));
        pool.answered(endpoint, flight, now);
        endpoint.left(flight);
      }
    }
    expect(pool.endpoints.filter((endpoint) => !endpoint.isAvailable(now)).map((endpoint) => endpoint.config.name)).toEqual(['c']);
  });

  /** A pool in use for `seconds`: a request every 50 ms, each answered after `ttft` of the endpoint. Returns how many each endpoint got. */
  function use(pool: Pool, from: number, seconds: number, ttft: (name: string) => number): Record<string, number> {
    const got: Record<string, number> = {};
    for (let at = from; at < from + 1000 * seconds; at += 50) {
      const endpoint = pool.choose({ ...demand, key: `${at}` }, at)!;
      const { name } = endpoint.config;
      got[name] = (got[name] ?? 0) + 1;
      const flight = endpoint.sent(demand.promptTokens, at);
      pool.answered(endpoint, flight, at + ttft(name));
      endpoint.left(flight);
    }
    return got;
  }

  it('uses all endpoints that are equally fast, however fast that is', () => {
    for (const ttft of [5, 200, 2_000]) {
      const got = use(poolOf(['a', 'b', 'c'].map((name) => config(name))), now, 30, () => ttft);
      for (const name of ['a', 'b', 'c']) expect(got[name]).toBeGreaterThan(100);
    }
  });

  it('leaves one where a stream waits longer than elsewhere, before any timeout', () => {
    const pool = poolOf(['a', 'b'].map((name) => config(name)));
    use(pool, now, 10, () => 20);
    const stopped = pool.endpoints[0]!;
    const at = now + 10_000;
    const waiting = stopped.sent(demand.promptTokens, at, true);
    const later = Array.from({ length: 20 }, (_, i) => pool.choose({ ...demand, key: `${i}` }, at + 500)!.config.name);
    expect(new Set(later)).toEqual(new Set(['b']));
    stopped.left(waiting);
    const after = Array.from({ length: 20 }, (_, i) => pool.choose({ ...demand, key: `${i}` }, at + 500)!.config.name);
    expect(new Set(after)).toEqual(new Set(['a', 'b']));
  });

  it('comes back within a minute to one that was slow for a moment, and not to one that stays slow', () => {
    const pool = poolOf(['a', 'b'].map((name) => config(name)));
    use(pool, now, 10, () => 20);
    const stalled = pool.endpoints[0]!;
    for (let i = 0; i < 5; i++) pool.answered(stalled, stalled.sent(demand.promptTokens, now + 4_000), now + 12_000);
    use(pool, now + 12_000, 60, () => 20);
    expect(use(pool, now + 72_000, 30, () => 20).a).toBeGreaterThan(100);

    const got = use(pool, now + 102_000, 60, (name) => (name === 'a' ? 400 : 20));
    expect(got.a).toBeLessThan(0.1 * got.b!);
  });

  it('hedges after the 95th percentile, once it knows one, and not when saturated', () => {
    const pool = poolOf([config('a'), config('b')]);
    expect(pool.hedgeAfter(100, now)).toBe(null);
    const [a, b] = pool.endpoints as [Endpoint, Endpoint];
    for (let i = 1; i <= 100; i++) pool.answered(a, a.sent(100, now - 10 * i), now);
    expect(pool.hedgeAfter(100, now)).toBeCloseTo(950, 0);
    expect(pool.hedgeAfter(812, now)).toBeCloseTo(950 * 3, 0);
    for (const endpoint of [a, b]) endpoint.failed('overloaded', 5_000, now);
    expect(pool.hedgeAfter(100, now)).toBe(null);
    expect(poolOf([config('a')]).hedgeAfter(100, now)).toBe(null);
  });

  it('keeps what it knows of endpoints that stay when the list changes', () => {
    const before = poolOf([config('a'), config('b')]);
    breakDown(before.endpoints[0]!);
    const after = new Pool({ ...before.config, endpoints: [config('a'), config('b', { weight: 2 })] }, null, before.endpoints);
    expect(after.endpoints[0]).toBe(before.endpoints[0]);
    expect(after.endpoints[1]).not.toBe(before.endpoints[1]);
  });
});
