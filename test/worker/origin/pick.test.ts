import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../../routes/schema/chat.ts';
import { affinityKey } from '../../../worker/origin/affinity.ts';
import { type Candidate, expectedTtft, hash, pick, rank } from '../../../worker/origin/pick.ts';

const candidate = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  name,
  weight: 1,
  priority: 0,
  near: true,
  slowness: 1,
  queuedTokens: 0,
  full: false,
  ...more,
});
const names = ['a', 'b', 'c', 'd'];
const four = names.map((name) => candidate(name));
const keys = Array.from({ length: 2000 }, (_, i) => `conversation ${i}`);
const shares = (candidates: Candidate[]) => {
  const counts = Object.fromEntries(candidates.map(({ name }) => [name, 0]));
  for (const key of keys) counts[pick(candidates, key, 100)!.name]!++;
  return counts;
};

describe('pick', () => {
  it('sends the same key to the same endpoint, whatever the order, and different keys everywhere', () => {
    for (const key of keys.slice(0, 50)) expect(pick([...four].reverse(), key, 100)!.name).toBe(pick(four, key, 100)!.name);
    for (const count of Object.values(shares(four))) expect(count / keys.length).toBeCloseTo(0.25, 1);
  });

  it('moves nothing but what it must when an endpoint goes', () => {
    const three = four.filter(({ name }) => name !== 'c');
    for (const key of keys) {
      const before = pick(four, key, 100)!.name;
      if (before !== 'c') expect(pick(three, key, 100)!.name).toBe(before);
    }
  });

  it('respects weights', () => {
    const { a, b } = shares([candidate('a', { weight: 3 }), candidate('b')]);
    expect(a! / b!).toBeGreaterThan(2.5);
    expect(a! / b!).toBeLessThan(3.6);
  });

  it('goes to the second choice, always the same one, while the first is loaded', () => {
    for (const key of keys.slice(0, 100)) {
      const [first, second] = rank(four, key);
      const loaded = four.map((entry) => (entry.name === first!.name ? { ...entry, queuedTokens: 50_000 } : entry));
      expect(pick(loaded, key, 100)!.name).toBe(second!.name);
    }
  });

  it('goes to a third only when both are far behind it, and it has little to do', () => {
    const [first, second, third] = rank(four, 'key');
    const withLoads = (both: number, others: number) =>
      four.map((entry) => ({ ...entry, queuedTokens: entry.name === first!.name || entry.name === second!.name ? both : others }));
    expect(pick(withLoads(300, 0), 'key', 100)!.name).toBe(first!.name);
    const overflow = pick(withLoads(5_000, 0), 'key', 100)!.name;
    expect([first!.name, second!.name]).not.toContain(overflow);
    expect(overflow).toBe(third!.name);
    // Where everybody has much to do, a warm prefix is worth more than a shorter queue.
    expect(pick(withLoads(50_000, 20_000), 'key', 100)!.name).toBe(first!.name);
  });

  it('does not leave a warm prefix for a little load', () => {
    const [first] = rank(four, 'key');
    const busy = four.map((entry) => (entry.name === first!.name ? { ...entry, queuedTokens: 400 } : entry));
    expect(pick(busy, 'key', 1000)!.name).toBe(first!.name);
    expect(pick(busy, 'key', 100)!.name).not.toBe(first!.name);
  });

  it('expects longer waits from slow, queued and full endpoints', () => {
    const plain = expectedTtft(candidate('a'), 100);
    for (const worse of [{ slowness: 2 }, { queuedTokens: 1 }, { full: true }])
      expect(expectedTtft(candidate('a', worse), 100)).toBeGreaterThan(plain);
  });

  it.each<[string, Partial<Candidate>[], string[]]>([
    ['the lowest priority number', [{ priority: 1 }, { priority: 0 }, { priority: 0 }, { priority: 2 }], ['b', 'c']],
    ['its own region', [{ near: false }, { near: true }, { near: false }, { near: false }], ['b']],
    [
      'its own region, but not before priority',
      [{ near: false }, { near: true, priority: 1 }, { near: false }, { priority: 1 }],
      ['a', 'c'],
    ],
    ['farther ones too, while those nearby are full', [{ full: true }, { near: false }, { priority: 1 }, { priority: 1 }], ['b']],
  ])('prefers %s', (_, traits, expected) => {
    const chosen = new Set(
      keys.map(
        (key) =>
          pick(
            four.map((entry, i) => ({ ...entry, ...traits[i] })),
            key,
            100,
          )!.name,
      ),
    );
    expect([...chosen].sort()).toEqual(expected);
  });

  it('takes the only one, and none of none', () => {
    expect(pick([candidate('a', { full: true, queuedTokens: 1e9 })], 'key', 1)!.name).toBe('a');
    expect(pick([], 'key', 1)).toBe(null);
  });
});

describe('hash', () => {
  it('spreads keys that differ in their last character', () => {
    const buckets = new Set(Array.from({ length: 64 }, (_, i) => hash(`prompt ${String.fromCharCode(65 + i)}`) >>> 29));
    expect(buckets.size).toBe(8);
  });
});

describe('affinityKey', () => {
  const key = (messages: object[], more: object = {}) => affinityKey('m', parseChatRequest({ model: 'm', messages, ...more }));
  const system = { role: 'system', content: 'You are helpful. '.repeat(200) };
  const user = (content: unknown) => ({ role: 'user', content });

  it('stays the same through a conversation', () => {
    const turns = [system, user('First question'), { role: 'assistant', content: 'Answer' }, user('Second question')];
    expect(key(turns)).toBe(key(turns.slice(0, 2)));
    expect(key([system, user([{ type: 'text', text: 'First question' }])])).toBe(key(turns));
  });

  it('tells conversations with the same system prompt apart, and prompts by their beginnings only', () => {
    expect(key([system, user('a')])).not.toBe(key([system, user('b')]));
    const long = 'x'.repeat(1024);
    expect(key([user(`${long}a`)])).toBe(key([user(`${long}b`)]));
    const picture = (data: string) => user([{ type: 'image_url', image_url: { url: `data:image/jpeg;base64,${'A'.repeat(500)}${data}` } }]);
    expect(key([picture('1')])).not.toBe(key([picture('2')]));
  });

  it('goes by prompt_cache_key when there is one', () => {
    expect(key([system, user('a')], { prompt_cache_key: 'k' })).toBe(key([system, user('b')], { prompt_cache_key: 'k' }));
    expect(key([system, user('a')], { prompt_cache_key: 'k' })).not.toBe(key([system, user('a')], { prompt_cache_key: 'l' }));
  });
});
