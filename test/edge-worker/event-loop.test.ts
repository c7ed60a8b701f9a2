import { expect, it } from 'vitest';
import { createEventLoop } from '../../worker/edge/event-loop.ts';

/** Yields up to a thousand times; answers after how many another event came in. */
async function yieldsUntilOther(yieldNow: (work: number) => Promise<void>, work = 0): Promise<number> {
  let other = false;
  setTimeout(() => (other = true), 0);
  let yields = 0;
  while (!other && yields < 1000) {
    await yieldNow(work);
    yields += 1;
  }
  return yields;
}

it('lets other events in after some work, though the clock stands still', async () => {
  // Half a layer of 32 rows of a 0.8B model.
  expect(await yieldsUntilOther(createEventLoop(() => 0).yieldNow, 3.5e8)).toBe(5);
});

it('takes no notice of layers of a small model', async () => {
  expect(await yieldsUntilOther(createEventLoop(() => 0).yieldNow, 1e6)).toBeGreaterThan(100);
});

it('lets other events in at once when much was computed', async () => {
  let time = 0;
  expect(await yieldsUntilOther(createEventLoop(() => (time += 100)).yieldNow)).toBe(1);
});

it('lets other events in before what would take too long, not after', async () => {
  let time = 0;
  const { yieldNow } = createEventLoop(() => time);
  let seenAt = 0;
  setTimeout(() => (seenAt = time), 0);
  // 14 ms each: two fit, a third would make it 42.
  for (let i = 0; i < 5; i++) {
    time += 14;
    await yieldNow(0);
  }
  expect(seenAt).toBe(28);
});

it('between turns, always', async () => {
  expect(await yieldsUntilOther(createEventLoop(() => 0).turn)).toBe(1);
});
