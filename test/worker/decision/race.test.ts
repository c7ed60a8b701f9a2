import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { race } from '../../../worker/decision/race.ts';
import { chat, eventually, failure, seenByEngine, seenByOrigin, setEngine, withOrigin } from '../support.ts';

/** Both routes are about as fast, by what the engine says and is assumed of the origin, and time is what counts. */
beforeAll(() =>
  setEngine({ figures: { prefill: 200, decode: 25, decodeBatch: 1, running: 0, queued: 0, slots: 4, warm: true, loadMs: 500 } }),
);
afterAll(() => setEngine({}));
afterEach(() => vi.restoreAllMocks());

const racing = (variables = {}) =>
  withOrigin({ NEARSIDE_POLICY: 'latency', NEARSIDE_ORIGIN_PRICE: '{"gpu_hour":1,"keep_seconds":null}', ...variables });
const tagged = (id: string) => ({ headers: { 'x-request-id': id } });
const head = (response: Response) => [response.headers.get('x-nearside-route'), response.headers.get('x-nearside-reason')];

describe('a race of both routes', () => {
  it('is won by the edge when the origin is slow, and the origin is stopped', async () => {
    // The engine reads the first words, the origin what comes after them.
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    const response = await chat(racing(), 'slow 200 2 ; stall', { stream: true }, tagged('edge-wins'));
    expect(head(response)).toEqual(['edge', 'raced']);
    const text = await response.text();
    expect(text).toContain('"content":"0 "');
    expect(text).not.toContain('origin-test');
    await eventually('the origin stopped', async () => (await seenByOrigin('edge-wins'))?.aborted);
    const used = log.mock.calls.map(([line]) => JSON.parse(line)).find(({ event, id }) => event === 'origin_usage' && id === 'edge-wins');
    expect(used).toMatchObject({ outcome: 'superseded' });
  });

  it.each([false, true])('is won by the origin when the edge is slow, and the engine is stopped (stream: %s)', async (stream) => {
    const id = `origin-wins-${stream}`;
    const response = await chat(racing(), 'slow 5000 2', { stream }, tagged(id));
    expect(head(response)[0]).toBe('origin');
    expect(head(response)[1]).toMatch(/raced$/);
    expect(await response.text()).toContain('"model":"origin-test"');
    await eventually('the engine stopped', async () => (await seenByEngine()).aborted.includes(id));
  });

  it('goes on with one when the other refuses', async () => {
    expect(head(await chat(racing(), 'refuse queue_full'))[0]).toBe('origin');
    expect(head(await chat(racing(), 'status 500', {}, tagged('other')))).toEqual(['edge', 'raced']);
  });

  it('is lost by both when both refuse', async () => {
    const down = racing({ NEARSIDE_ORIGIN_URL: 'http://127.0.0.1:9/v1' });
    expect(await failure(await chat(down, 'refuse queue_full', { stream: true }))).toMatchObject({
      status: 503,
      code: 'origin_unavailable',
    });
  });

  it('is run under no other policy', async () => {
    const id = 'no-race';
    await (await chat(racing({ NEARSIDE_POLICY: 'edge-first' }), 'hello', {}, tagged(id))).text();
    expect(await seenByOrigin(id)).toBe(null);
  });
});

describe('race', () => {
  const later = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value));
  const open = () => new AbortController().signal;

  it('calls off the others, also one that answers later', async () => {
    const signals: AbortSignal[] = [];
    const runner = (ms: number, answer: string) => (signal: AbortSignal) => {
      signals.push(signal);
      return later(ms, { answer });
    };
    expect(await race([runner(30, 'slow'), runner(1, 'fast')], open())).toEqual({ answer: 'fast', index: 1 });
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
  });

  it('waits for one that is late where the other refuses or throws', async () => {
    const late = () => later(20, { answer: 'late' });
    expect(await race<string, string>([late, async () => ({ refused: 'no' })], open())).toMatchObject({ answer: 'late' });
    expect(await race<string, string>([late, () => Promise.reject(new Error('broken'))], open())).toMatchObject({ answer: 'late' });
  });

  it('tells all refusals, and throws an error before that', async () => {
    const no = (refused: string) => async () => ({ refused });
    expect(await race([no('a'), no('b')], open())).toEqual({ refused: ['a', 'b'] });
    await expect(race<string, string>([no('a'), () => Promise.reject(new Error('broken'))], open())).rejects.toThrow('broken');
  });

  it('is called off as a whole by the client', async () => {
    const client = new AbortController();
    const runner = (signal: AbortSignal) =>
      new Promise<{ answer: string }>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    const racing = race<string, string>([runner, runner], client.signal);
    client.abort(new Error('the client left'));
    await expect(racing).rejects.toThrow('the client left');
  });
});
