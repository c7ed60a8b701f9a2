import { expect, it } from 'vitest';
import { LazyLoad } from '../../worker/edge/lazy-load.ts';

it('loads once for all who ask at the same time', async () => {
  let loads = 0;
  const load = new LazyLoad(
    async () => ({ number: ++loads }),
    () => 0,
  );
  expect(load.state).toBe('cold');
  const both = Promise.all([load.get(), load.get()]);
  expect(load.state).toBe('loading');
  expect(await both).toEqual([{ number: 1 }, { number: 1 }]);
  expect(await load.get()).toEqual({ number: 1 });
  expect(load.state).toBe('ready');
});

it('reports a failure to all, and tries again only after a while', async () => {
  let time = 0;
  let loads = 0;
  const load = new LazyLoad(
    async () => {
      if (++loads === 1) throw new Error('no pack');
      return 'pack';
    },
    () => time,
  );
  await expect(Promise.all([load.get(), load.get()])).rejects.toThrow('no pack');
  expect([load.state, load.error?.message, load.retryAfter]).toEqual(['failed', 'no pack', 5]);
  time = 3500;
  await expect(load.get()).rejects.toThrow('no pack');
  expect([loads, load.retryAfter]).toEqual([1, 2]);
  time = 5000;
  expect(await load.get()).toBe('pack');
  expect(load.error).toBeNull();
});

it('loads anew after what it loaded was dropped', async () => {
  let loads = 0;
  const load = new LazyLoad(
    async () => ({ number: ++loads }),
    () => 0,
  );
  const first = await load.get();
  load.drop(first);
  load.drop(first);
  expect(await load.get()).toEqual({ number: 2 });
  load.drop(first);
  expect(load.state).toBe('ready');
});
