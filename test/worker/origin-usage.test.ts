import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { attemptsAtOrigins, chat, chatWith, endpoint, environment, eventually, withPools } from './support.ts';

const stream = { model: 'pool', stream: true };
const whole = { model: 'pool' };
const pool = (names: string[], more: object = {}) => ({
  model: 'pool',
  endpoints: names.map((name, priority) => endpoint(name, { priority })),
  ...more,
});
const one = withPools([pool(['a'], { retries: 0 })]);

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(String(line)));
});
afterEach(() => vi.restoreAllMocks());

interface Entry {
  endpoint: string;
  outcome: string;
  promptTokens: number;
  completionTokens: number | null;
  estimated: boolean;
}

/** What was written down for a request, once there are so many entries. */
async function entriesOf(id: string, count = 1): Promise<Entry[]> {
  const all = () => lines.map((line) => JSON.parse(line)).filter((line) => line.event === 'origin_usage' && line.id === id);
  await eventually(`${count} entries are written for ${id}`, async () => all().length >= count);
  // And no more.
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(all()).toHaveLength(count);
  return all().map(({ endpoint, outcome, promptTokens, completionTokens, estimated }) => ({
    endpoint,
    outcome,
    promptTokens,
    completionTokens,
    estimated,
  }));
}
const tagged = (id: string) => ({ 'x-request-id': id });
/** Prompt tokens of a script, as they are estimated. */
const promptOf = (script: string) => Math.ceil(script.length / 4);

/** Reads a stream as far as that text, and no further. */
async function readUntil(response: Response, end: string): Promise<void> {
  const reader = response.body!.getReader();
  for (let text = ''; !text.includes(end); ) text += new TextDecoder().decode((await reader.read()).value);
}

describe('what a request has used is written down', () => {
  it('as its origin counts it, or else as it is counted here', async () => {
    const reported = { endpoint: 'a', outcome: 'complete', promptTokens: 11, completionTokens: 2, estimated: false };
    for (const [id, script, body] of [
      ['used-stream', 'tokens 5; finish; usage; done', stream],
      ['used-whole', 'whole', whole],
    ] as const) {
      await (await chat(one, script, body, { headers: tagged(id) })).text();
      expect(await entriesOf(id)).toEqual([reported]);
    }
    for (const [id, script, body, completionTokens] of [
      ['counted-stream', 'role; tokens 5; finish; done', stream, 5],
      ['counted-whole', 'no usage', whole, 2],
    ] as const) {
      await (await chat(one, script, body, { headers: tagged(id) })).text();
      const promptTokens = promptOf(script);
      expect(await entriesOf(id)).toEqual([{ endpoint: 'a', outcome: 'complete', promptTokens, completionTokens, estimated: true }]);
    }
  });

  it.each<[string, string, object, number | null]>([
    ['before the head of a stream', 'stall', stream, 0],
    ['before the first token', 'role; stall', stream, 0],
    ['in mid-stream', 'role; tokens 3; stall', stream, 3],
    ['before a whole answer', 'stall', whole, null],
    ['in the middle of a whole answer', 'type application/json; write {"cho; stall', whole, null],
  ])('when the client leaves %s', async (name, script, body, completionTokens) => {
    const id = `used, left ${name}`.replace(/[ ,]+/g, '-');
    const leave = new AbortController();
    const asking = chat(one, script, body, { headers: tagged(id), signal: leave.signal });
    if (completionTokens) await readUntil(await asking, `t${completionTokens - 1} `);
    else await eventually('the origin was asked', async () => (await attemptsAtOrigins(id)).length > 0);
    leave.abort();
    await asking.catch(() => {});
    const promptTokens = promptOf(script);
    expect(await entriesOf(id)).toEqual([{ endpoint: 'a', outcome: 'aborted', promptTokens, completionTokens, estimated: true }]);
  });

  it('when the client closes the response, has read it or not', async () => {
    const script = 'tokens 3; stall';
    const read = await chat(one, script, stream, { headers: tagged('closed-reading') });
    const reader = read.body!.getReader();
    await reader.read();
    await reader.cancel();
    await (await chat(one, script, stream, { headers: tagged('closed-unread') })).body!.cancel();
    for (const id of ['closed-reading', 'closed-unread']) {
      const [entry] = await entriesOf(id);
      expect(entry).toMatchObject({ outcome: 'aborted', promptTokens: promptOf(script), estimated: true });
      expect(entry!.completionTokens).toBeGreaterThan(0);
    }
  });

  it.each<[string, object, number | null]>([
    ['status 500', stream, 0],
    ['status 400', whole, null],
    ['role; cut', stream, 0],
    ['tokens 2; cut', stream, 2],
    ['tokens 2; error', stream, 2],
    ['cut', whole, null],
  ])('when the origin fails with "%s" %j', async (script, body, completionTokens) => {
    const id = `used failed ${script} ${'stream' in body}`.replace(/[^a-z0-9]+/g, '-');
    await (await chat(one, script, body, { headers: tagged(id) })).text();
    const promptTokens = promptOf(script);
    expect(await entriesOf(id)).toEqual([{ endpoint: 'a', outcome: 'failed', promptTokens, completionTokens, estimated: true }]);
  });

  it('of each attempt, those of a client that leaves between two of them included', async () => {
    const two = withPools([pool(['a', 'b'])]);
    await (await chat(two, 'a> status 500 || b> tokens 2; finish; done', stream, { headers: tagged('used-retried') })).text();
    expect((await entriesOf('used-retried', 2)).map(({ endpoint, outcome }) => [endpoint, outcome])).toEqual([
      ['a', 'failed'],
      ['b', 'complete'],
    ]);
    const leave = new AbortController();
    const asking = chat(withPools([pool(['a'])]), 'status 429 retry-after-ms=900', whole, {
      headers: tagged('used-waiting'),
      signal: leave.signal,
    });
    await entriesOf('used-waiting');
    leave.abort();
    await asking.catch(() => {});
    expect((await entriesOf('used-waiting')).map(({ outcome }) => outcome)).toEqual(['failed']);
  });

  it('of both when a second endpoint is asked as well', async () => {
    const gateway = environment(withPools([pool(['a', 'b'])]));
    const good = 'tokens 2; finish; done';
    for (let i = 0; i < 22; i++) await (await chatWith(gateway, good, stream)).text();
    await (await chatWith(gateway, `a> stall || b> ${good}`, stream, { headers: tagged('used-hedged') })).text();
    expect((await entriesOf('used-hedged', 2)).map(({ endpoint, outcome }) => [endpoint, outcome]).sort()).toEqual([
      ['a', 'superseded'],
      ['b', 'complete'],
    ]);
  });
});
