import { describe, expect, it } from 'vitest';
import type { Observation } from '../../../worker/origin/endpoint.ts';
import { poolFigures } from '../../../worker/origin/figures.ts';
import { Pool } from '../../../worker/origin/pool.ts';
import { parsePools } from '../../../worker/origin/pool-config.ts';
import { estimateOrigin } from '../../../worker/routing/estimate.ts';
import { originPriceOf } from '../../../worker/routing/prices.ts';

const now = 1_000_000_000;
const timeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
const price = { gpu_hour: 1, slots: 8, keep_seconds: null };
const parse = (pool: object) =>
  parsePools(
    [
      {
        model: 'm',
        endpoints: [
          { name: 'a', url: 'http://a/v1' },
          { name: 'b', url: 'http://b/v1' },
        ],
        price,
        ...pool,
      },
    ],
    'list',
    {
      secret: () => undefined,
      hasBinding: () => false,
      timeouts,
    },
  )[0]!;
const poolOf = (change: object = {}) => new Pool(parse(change), null);
const seen = (change: Partial<Observation> = {}): Observation => ({
  at: now,
  alive: true,
  waiting: 0,
  running: 0,
  kvUse: null,
  ttftMs: null,
  ...change,
});
const estimate = (pool: Pool, at = now, regions: string[] | null = null) =>
  estimateOrigin(
    { model: 'm', failure: null },
    { price: originPriceOf(pool.config.endpoints[0]!.price), contextTokens: null, regions: [null, null], quality: 1 },
    poolFigures(pool, at, regions),
    at,
  );

describe('figures of a pool', () => {
  it('add up what the monitor saw of its endpoints', () => {
    const pool = poolOf();
    pool.endpoints[0]!.observe(seen({ waiting: 3, running: 8, kvUse: 0.9 }));
    pool.endpoints[1]!.observe(seen({ waiting: 1, running: 4, kvUse: 0.5 }));
    const { waiting, use, slots } = estimate(pool);
    expect(waiting).toBeCloseTo(4, 1);
    expect(use).toBeCloseTo(0.7, 1);
    expect(slots).toBe(16);
  });

  it('are forgotten with age', () => {
    const pool = poolOf();
    pool.endpoints[0]!.observe(seen({ waiting: 100, running: 8 }));
    expect(estimate(pool).waiting).toBeGreaterThan(90);
    expect(estimate(pool, now + 60_000).waiting).toBeLessThan(1);
  });

  it('leave out endpoints that are out', () => {
    const pool = poolOf();
    for (let i = 0; i < 3; i++) {
      pool.endpoints[0]!.sent(10, now);
      pool.endpoints[0]!.failed('unreachable', null, now);
    }
    expect(pool.endpoints[0]!.isAvailable(now)).toBe(false);
    pool.endpoints[0]!.observe(seen({ waiting: 50 }));
    pool.endpoints[1]!.observe(seen({ waiting: 2 }));
    expect(estimate(pool).waiting).toBeCloseTo(2, 1);
    expect(estimate(pool).slots).toBe(8);
    expect(estimate(pool).hanging).toBe(false);
  });

  it('tell when all endpoints are out and hang, until their time is up; who refuses does not', () => {
    const out = (kind: 'unreachable' | 'timeout') => {
      const pool = poolOf();
      for (const endpoint of pool.endpoints) for (let i = 0; i < 3; i++) endpoint.failed(kind, null, now);
      return pool;
    };
    expect(estimate(out('timeout')).hanging).toBe(true);
    expect(estimate(out('timeout'), now + 6_000).hanging).toBe(false);
    expect(estimate(out('unreachable')).hanging).toBe(false);
    const back = out('timeout');
    const [endpoint] = back.endpoints;
    endpoint!.answered(endpoint!.sent(10, now), now, true);
    expect(estimate(back).hanging).toBe(false);
  });

  it('are those of the endpoints that the request may go to: others cannot answer it', () => {
    const pool = poolOf({
      endpoints: [
        { name: 'a', url: 'http://a/v1', region: 'eu' },
        { name: 'b', url: 'http://b/v1', region: 'us' },
      ],
    });
    const [eu, us] = pool.endpoints;
    for (let i = 0; i < 3; i++) eu!.failed('timeout', null, now);
    us!.observe(seen({ waiting: 20 }));
    expect(estimate(pool)).toMatchObject({ hanging: false, out: false });
    expect(estimate(pool).waiting).toBeCloseTo(20, 0);
    expect(estimate(pool, now, ['eu'])).toMatchObject({ hanging: true, out: true, waiting: 1, slots: 8 });
    expect(estimate(pool, now, ['us'])).toMatchObject({ hanging: false, out: false, slots: 8 });
  });

  it('say that all endpoints are out, until one may be tried again', () => {
    const pool = poolOf();
    const [a, b] = pool.endpoints;
    for (let i = 0; i < 3; i++) a!.failed('unreachable', null, now);
    expect(estimate(pool).out).toBe(false);
    for (let i = 0; i < 3; i++) b!.failed('unreachable', null, now);
    expect(estimate(pool)).toMatchObject({ out: true, hanging: false });
    expect(estimate(pool, now + 6_000).out).toBe(false);
  });

  describe('of a pool that holds requests while it starts', () => {
    const asleep = () => poolOf({ price: { gpu_hour: 1, start_seconds: 120, keep_seconds: 300 } });

    it('say that it is cold once a stream has waited for half of a start', () => {
      const pool = asleep();
      pool.endpoints[0]!.sent(10, now, true);
      expect(estimate(pool, now + 50_000).warmth).toBeCloseTo(0.98, 2);
      expect(estimate(pool, now + 70_000).warmth).toBe(0);
    });

    it('not where somebody else was answered meanwhile, or where nothing is started', () => {
      const pool = asleep();
      const slow = pool.endpoints[0]!.sent(10, now, true);
      const other = pool.endpoints[1]!.sent(10, now + 20_000, true);
      pool.answered(pool.endpoints[1]!, other, now + 21_000);
      expect(estimate(pool, now + 70_000).warmth).toBeGreaterThan(0.97);
      pool.endpoints[0]!.left(slow);
      const always = poolOf();
      always.endpoints[0]!.sent(10, now, true);
      expect(estimate(always, now + 70_000).warmth).toBeGreaterThan(0.97);
    });

    it('that it has work only once an answer has begun', () => {
      const pool = asleep();
      const flight = pool.endpoints[0]!.sent(10, now, true);
      expect(estimate(pool, now + 1_000).idleMs).toBe(null);
      pool.answered(pool.endpoints[0]!, flight, now + 2_000);
      expect(estimate(pool, now + 3_000)).toMatchObject({ idleMs: 0, warmth: 1 });
    });
  });

  it('without a monitor are what is in flight here, where that is much', () => {
    const pool = poolOf();
    expect(estimate(pool).use).toBeCloseTo(0.1, 2);
    for (let i = 0; i < 12; i++) pool.endpoints[i % 2]!.sent(10, now);
    expect(estimate(pool).use).toBeCloseTo(12 / 16, 2);
  });
});

describe('the price of a pool', () => {
  it('may be by the hour of a GPU, with the rest assumed', () => {
    expect(parse({ price: { gpu_hour: 2 } }).endpoints[0]!.price).toEqual({
      by: 'gpu-hour',
      usdPerHour: 2,
      slots: 32,
      startSeconds: 120,
      keepSeconds: 300,
      scalesOut: true,
    });
    expect(parse({ price: { gpu_hour: 2, keep_seconds: null } }).endpoints[0]!.price).toMatchObject({ keepSeconds: null });
    expect(parse({ quality: 0.7 })).toMatchObject({ quality: 0.7 });
  });

  it.each([{ gpu_hour: -1 }, { gpu_hour: 1, input: 1 }, { input: 1 }, { gpu_hours: 1 }, 3])('%o is refused by name', (wrong) => {
    expect(() => parse({ price: wrong })).toThrow(/^list: pool "m": .*price/);
  });

  it('a quality is a probability', () => {
    expect(() => parse({ quality: 2 })).toThrow('list: pool "m": quality must be a probability from 0 to 1.');
  });
});
