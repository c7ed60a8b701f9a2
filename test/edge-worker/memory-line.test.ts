import { expect, it } from 'vitest';
import { StageError } from '../../wasm/engine/stage.ts';
import { longestSession, MemoryLine } from '../../worker/edge/memory-line.ts';

const never = new AbortController().signal;
/** For ten pages, less what the slots take. */
const room = { bytes: 1000, slotBytes: 10, pageBytes: 100, pageTokens: 64 };
const taken = async () => {};
const later = () => new Promise((resolve) => setTimeout(resolve, 0));

it('lets in as many as there is memory for, and the next one when somebody leaves', async () => {
  const line = new MemoryLine(room);
  const first = await line.enter(5 * 64, taken, never);
  await line.enter(64, taken, never);
  const third = line.enter(4 * 64, taken, never);
  await later();
  expect(line.waiting).toBe(1);
  first.leave();
  first.leave();
  await third;
  expect(line.waiting).toBe(0);
});

it('lets nobody overtake who waits', async () => {
  const line = new MemoryLine(room);
  const order: string[] = [];
  const first = await line.enter(8 * 64, taken, never);
  const large = line.enter(8 * 64, async () => void order.push('large'), never);
  const small = line.enter(1, async () => void order.push('small'), never);
  first.leave();
  (await large).leave();
  await small;
  expect(order).toEqual(['large', 'small']);
});

it('waits where memory turns out to be short all the same, as long as somebody has some to give back', async () => {
  const line = new MemoryLine(null);
  let free = 1;
  const take = async () => {
    if (free === 0) throw new StageError('out_of_memory', 'There is none.');
    free -= 1;
  };
  const first = await line.enter(1, take, never);
  const second = line.enter(1, take, never);
  await later();
  free += 1;
  first.leave();
  (await second).leave();
  await expect(line.enter(1, take, never)).rejects.toMatchObject({ code: 'out_of_memory' });
  await expect(line.enter(1, () => Promise.reject(new Error('broken')), never)).rejects.toThrow('broken');
  expect(line.waiting).toBe(0);
});

it('asks again when the last who had memory leaves while it is refused', async () => {
  const line = new MemoryLine(null);
  const first = await line.enter(1, taken, never);
  let refused = false;
  const second = line.enter(
    1,
    async () => {
      if (refused) return;
      refused = true;
      first.leave();
      throw new StageError('out_of_memory', 'There is none.');
    },
    never,
  );
  await expect(second).resolves.toBeDefined();
});

it('lets go of who aborts while memory is refused', async () => {
  const line = new MemoryLine(null);
  await line.enter(1, taken, never);
  const client = new AbortController();
  const second = line.enter(
    1,
    async () => {
      client.abort(new Error('gone'));
      throw new StageError('out_of_memory', 'There is none.');
    },
    client.signal,
  );
  await expect(second).rejects.toThrow('gone');
  expect(line.waiting).toBe(0);
});

it('calls nobody waiting who only takes what is there', async () => {
  const line = new MemoryLine(room);
  const all = Array.from({ length: 3 }, () => line.enter(64, later, never));
  expect(line.waiting).toBe(0);
  await Promise.all(all);
});

it('forgets at once who leaves, wherever in the line', async () => {
  const line = new MemoryLine(room);
  const first = await line.enter(9 * 64, taken, never);
  const [one, two] = [new AbortController(), new AbortController()];
  const leaving = [line.enter(64, taken, one.signal), line.enter(64, taken, two.signal)];
  const last = line.enter(64, taken, never);
  two.abort(new Error('two'));
  await expect(leaving[1]).rejects.toThrow('two');
  one.abort(new Error('one'));
  await expect(leaving[0]).rejects.toThrow('one');
  expect(line.waiting).toBe(1);
  first.leave();
  await last;
});

it('knows the longest session', () => {
  expect(longestSession(room)).toBe(9 * 64);
  expect(longestSession({ ...room, bytes: 9 })).toBe(0);
  expect(longestSession({ ...room, bytes: 10 })).toBe(0);
  expect(longestSession({ ...room, pageBytes: 0 })).toBe(Number.POSITIVE_INFINITY);
});
