import { describe, expect, it, vi } from 'vitest';
import { Deadline } from '../../../worker/origin/deadline.ts';

const never = new Promise<never>(() => {});
const late = () => new Error('late');
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a deadline', () => {
  it('ends every wait when the client leaves, and those that begin after', async () => {
    const client = new AbortController();
    const deadline = new Deadline(client.signal);
    const waits = [deadline.guard(never), deadline.guard(never)];
    client.abort(new Error('left'));
    for (const wait of [...waits, deadline.guard(never), deadline.guard(Promise.reject(new Error('other')))])
      await expect(wait).rejects.toThrow('left');
    expect(deadline.signal.aborted).toBe(true);
  });

  it('passes outcomes on while it lasts', async () => {
    const deadline = new Deadline(new AbortController().signal);
    await expect(deadline.guard(Promise.resolve(7))).resolves.toBe(7);
    await expect(deadline.guard(Promise.reject(new Error('other')))).rejects.toThrow('other');
  });

  it('is over after a limit that was not lifted', async () => {
    const deadline = new Deadline(new AbortController().signal);
    const lift = deadline.limit(20, () => new Error('lifted'));
    deadline.limit(60, late);
    lift();
    await expect(deadline.guard(never)).rejects.toThrow('late');
  });

  it('counts each wait by itself, and no time in between', async () => {
    const deadline = new Deadline(new AbortController().signal);
    const waiting = deadline.limitWaits(150, late);
    for (let i = 0; i < 4; i++) {
      waiting(true);
      await sleep(60);
      waiting(false);
    }
    await sleep(400);
    expect(deadline.signal.aborted).toBe(false);
    waiting(true);
    await expect(deadline.guard(never)).rejects.toThrow('late');
  });

  it('fires nothing and stops nothing once it has finished', async () => {
    const client = new AbortController();
    const deadline = new Deadline(client.signal);
    deadline.limit(20, late);
    deadline.limitWaits(20, late)(true);
    deadline.finish();
    await sleep(60);
    expect(deadline.signal.aborted).toBe(false);
  });

  it('sets no timer and no listener for a single wait', async () => {
    const deadline = new Deadline(new AbortController().signal);
    const waiting = deadline.limitWaits(60_000, late);
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const listeners = vi.spyOn(deadline.signal, 'addEventListener');
    for (let i = 0; i < 100; i++) {
      waiting(true);
      await deadline.guard(Promise.resolve(i));
      waiting(false);
    }
    expect(timers).not.toHaveBeenCalled();
    expect(listeners).not.toHaveBeenCalled();
    timers.mockRestore();
    deadline.finish();
  });

  it('has nothing left to fire after its end', async () => {
    const deadline = new Deadline(new AbortController().signal);
    deadline.limit(20, late);
    deadline.limitWaits(20, late)(true);
    deadline.end(new Error('done'));
    await sleep(60);
    expect((deadline.signal.reason as Error).message).toBe('done');
  });
});
