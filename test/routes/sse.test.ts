import { afterEach, describe, expect, it, vi } from 'vitest';
import { sseStream } from '../../routes/sse.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const decode = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const never = { keepAliveMs: 60_000, onCancel: () => {} };

async function* slowly(...steps: (string | number)[]) {
  for (const step of steps) {
    if (typeof step === 'number') await sleep(step);
    else yield step;
  }
}

afterEach(() => vi.restoreAllMocks());

describe('sseStream', () => {
  it('writes events as they are, text or bytes', async () => {
    async function* events() {
      yield 'data: 1\n\n';
      yield new TextEncoder().encode('data: 2\r\n\r\n');
    }
    expect(await new Response(sseStream(events(), never)).text()).toBe('data: 1\n\ndata: 2\r\n\r\n');
  });

  it('begins with a comment when nothing is ready, and writes one in every pause', async () => {
    const text = await new Response(sseStream(slowly(130, 'data: 1\n\n', 130, 'data: 2\n\n'), { ...never, keepAliveMs: 50 })).text();
    expect(text).toMatch(/^(: keep-alive\n\n){2,4}data: 1\n\n(: keep-alive\n\n){1,3}data: 2\n\n$/);
  });

  it('makes nothing ahead of its reader', async () => {
    let made = 0;
    async function* events() {
      for (;;) yield `data: ${made++}\n\n`;
    }
    const reader = sseStream(events(), never).getReader();
    await sleep(20);
    expect(made).toBe(0);
    expect(decode((await reader.read()).value)).toBe('data: 0\n\n');
    await sleep(20);
    expect(made).toBe(1);
    await reader.cancel();
  });

  it('sets no timer for every event, and leaves none behind', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    async function* events() {
      for (let i = 0; i < 500; i++) yield await Promise.resolve(`data: ${i}\n\n`);
    }
    await new Response(sseStream(events(), never)).text();
    const timers = set.mock.results.map(({ value }) => value);
    expect(timers.length).toBeLessThan(5);
    for (const timer of timers) expect(cleared).toHaveBeenCalledWith(timer);
  });

  it('leaves no timer behind when its reader leaves', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    async function* events() {
      yield 'data: 1\n\n';
      await new Promise(() => {});
    }
    const reader = sseStream(events(), never).getReader();
    await reader.read();
    reader.read().catch(() => {});
    await vi.waitUntil(() => set.mock.calls.some(([, ms]) => ms === never.keepAliveMs));
    const keepAlive = set.mock.results[set.mock.calls.findIndex(([, ms]) => ms === never.keepAliveMs)]!.value;
    await reader.cancel();
    expect(cleared).toHaveBeenCalledWith(keepAlive);
  });

  it('tells when its reader leaves, while it waits for an event too', async () => {
    const left: unknown[] = [];
    const reader = sseStream(slowly(60_000), { ...never, onCancel: (reason) => left.push(reason) }).getReader();
    await reader.read();
    reader.read().catch(() => {});
    await reader.cancel('gone');
    expect(left).toEqual(['gone']);
  });
});
