import { expect, it } from 'vitest';
import { PrefixIndex } from '../../wasm/engine/prefix-index.ts';

const upTo = (count: number, seed = 0): number[] => Array.from({ length: count }, (_, i) => i * 7 + seed);

it('finds the longest state that a prompt goes through, and no other', () => {
  const index = new PrefixIndex(false);
  index.add('short', 'me', upTo(30));
  index.add('long', 'me', upTo(60));
  index.add('other', 'me', [...upTo(40), 1, 2, 3]);
  const find = (ids: number[]) => index.find('me', ids, ids.length - 1);
  expect(find(upTo(100))).toEqual({ session: 'long', tokens: 60 });
  expect(find(upTo(59))).toEqual({ session: 'short', tokens: 30 });
  expect(find([...upTo(45), 999])).toEqual({ session: 'short', tokens: 30 });
  expect(find(upTo(30))).toBeNull();
  expect(find(upTo(100, 1))).toBeNull();
});

it('without recurrent layers a state serves whatever part of it fits', () => {
  const index = new PrefixIndex(true);
  index.add('long', 'me', upTo(60));
  expect(index.find('me', [...upTo(45), 999], 45)).toEqual({ session: 'long', tokens: 45 });
  expect(index.find('me', upTo(60), 59)).toEqual({ session: 'long', tokens: 59 });
  expect(index.find('me', upTo(60, 1), 59)).toBeNull();
});

it('tells nobody of another scope', () => {
  const index = new PrefixIndex(true);
  index.add('mine', 'me', upTo(60));
  index.sharedWithEarlier('me', upTo(60));
  expect(index.find('you', upTo(60), 59)).toBeNull();
  expect(index.has('you', upTo(60))).toBe(false);
  expect(index.sharedWithEarlier('you', upTo(60))).toBe(0);
});

it('trusts tokens and not their hash', () => {
  // Two sequences of one FNV-1a hash: the second token undoes what the first one changed.
  const [basis, prime] = [0x811c9dc5, 0x01000193];
  const [one, two] = [1, 2].map((id) => Math.imul(basis ^ id, prime));
  const collide = [2, (0 ^ one! ^ two!) >>> 0];
  const index = new PrefixIndex(false);
  index.add('a', 'me', [1, 0]);
  expect(index.find('me', [...collide, 5], 2)).toBeNull();
  expect(index.find('me', [1, 0, 5], 2)).toEqual({ session: 'a', tokens: 2 });
});

it('keeps the order of use', () => {
  const index = new PrefixIndex(false);
  for (const session of ['a', 'b', 'c']) index.add(session, session, upTo(30));
  index.find('a', upTo(40), 39);
  expect(index.sessions).toEqual(['b', 'c', 'a']);
  index.remove('b');
  expect(index.sessions).toEqual(['c', 'a']);
  expect(index.has('b', upTo(30))).toBe(false);
});

it('remembers where prompts part, of the last ones only', () => {
  const index = new PrefixIndex(false);
  expect(index.sharedWithEarlier('me', upTo(100))).toBe(0);
  expect(index.sharedWithEarlier('me', [...upTo(70), 1])).toBe(70);
  expect(index.sharedWithEarlier('me', upTo(90))).toBe(90);
  for (let i = 0; i < 20; i++)
    index.sharedWithEarlier(
      'me',
      Array.from({ length: 5000 }, (_, at) => -at - i),
    );
  expect(index.sharedWithEarlier('me', upTo(90))).toBe(0);
});
