import { expect, it } from 'vitest';
import { createEventLoop } from '../../worker/edge/event-loop.ts';

/** Yields up to a thousand times; answers after how many another event came in. */
async function yieldsUntilOther(yieldNow: () => Promise<void>): Promise<number> {
  let other = false;
  setTimeout(() => (other = true), 0);
  let yields = 0;
  while (!other && yields < 1000) {
    await yieldNow();
    yields += 1;
  }
  return yields;
}

it('lets other events in after a few calls, though the clock stands still', async () => {
  expect(await yieldsUntilOther(createEventLoop(() => 0).yieldNow)).toBeLessThanOrEqual(8);
});

it('lets other events in at once when much was computed', async () => {
  let time = 0;
  expect(await yieldsUntilOther(createEventLoop(() => (time += 100)).yieldNow)).toBe(1);
});

it('between turns, always', async () => {
  expect(await yieldsUntilOther(createEventLoop(() => 0).turn)).toBe(1);
});
