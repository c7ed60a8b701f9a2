import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import table from '../../docs/faults.md?raw';
import { within } from '../../routes/within.ts';
import { type Fault, faults } from './faults.ts';
import { attemptsAtOrigins, chatWith, dataOf, type ErrorAnswer, endpoint, environment, eventually, withPools } from './support.ts';

/** Longer than any timeout here: what takes as long hangs. */
const hangsAfterMs = 10_000;
const short = { headers_ms: 500, first_token_ms: 700, idle_ms: 600, total_ms: 1500 };
/** For faults that are noticed by something else, so that a busy machine does not make them into timeouts. */
const long = { headers_ms: 2500, first_token_ms: 3500, idle_ms: 3000, total_ms: 7500 };

/** Whoever else may be asked. The faulty endpoint comes first; `b` and the edge always answer well. */
const policies: Record<string, (faulty: object, timeouts: object) => object[]> = {
  'one endpoint': (faulty, timeouts) => [{ model: 'pool', endpoints: [faulty], retries: 0, timeouts }],
  'one endpoint, again': (faulty, timeouts) => [{ model: 'pool', endpoints: [faulty], timeouts }],
  'another endpoint': (faulty, timeouts) => [{ model: 'pool', endpoints: [faulty, endpoint('b', { priority: 1 })], timeouts }],
  'another pool': (faulty, timeouts) => [
    { model: 'pool', endpoints: [faulty], retries: 0, timeouts, fallback: ['other'] },
    { model: 'other', endpoints: [endpoint('b')] },
  ],
  'the edge': (faulty, timeouts) => [{ model: 'pool', endpoints: [faulty], retries: 0, timeouts, fallback: ['edge'] }],
};

type Mode = 'stream' | 'whole';
const cases = Object.keys(policies).flatMap((policy) =>
  (['stream', 'whole'] as Mode[]).flatMap((mode) =>
    faults.flatMap((fault) => (fault[mode] ? [[policy, mode, fault.name, fault] as const] : [])),
  ),
);

/** What a client makes of a response. Throws when it is not one of the three outcomes, or a broken mixture of them. */
async function outcomeOf(response: Response, mode: Mode): Promise<string> {
  if (response.status !== 200) return `${response.status} ${(await response.json<ErrorAnswer>()).error.code}`;
  if (mode === 'whole') {
    const { choices } = await response.json<{ choices: { message: { content: string }; finish_reason: string }[] }>();
    expect(choices[0]).toMatchObject({ message: { content: expect.stringMatching(/^(t0 t1 |Hello there)$/) }, finish_reason: 'stop' });
    return 'complete';
  }
  const text = await response.text();
  // What a character becomes that was taken apart.
  expect(text).not.toContain('\ufffd');
  expect(text.endsWith('\n\n') || text.endsWith('\r\n\r\n')).toBe(true);
  const events = dataOf(text.replaceAll('\r\n', '\n'));
  const finishes = events.filter((event) => event.choices?.[0]?.finish_reason);
  const contents = events.filter((event) => event.choices?.[0]?.delta?.content);
  const errors = events.filter((event) => event.error);
  const ends = events.filter((event) => event === '[DONE]');
  if (errors.length > 0) {
    expect([errors.length, ends.length, events.at(-1)]).toEqual([1, 0, errors[0]]);
    return `event ${errors[0].error.code}`;
  }
  expect([finishes.length, ends.length, events.at(-1)]).toEqual([1, 1, '[DONE]']);
  expect(contents.length).toBeGreaterThan(0);
  expect(new Set(contents.map((event) => event.choices[0].delta.content)).size).toBe(contents.length);
  return 'complete';
}

/** With somebody else to ask, failures before the first token go unnoticed, but for those of the request. */
function expected([script, outcome]: [string, string], policy: string, mode: Mode): string {
  if (policy.startsWith('one endpoint') || !/^(5|429)/.test(outcome)) return outcome;
  // A whole answer has used up the time that a pool has for it.
  const late = mode === 'whole' && outcome === '504 origin_timeout' && !script.startsWith('status');
  return late && policy === 'another endpoint' ? outcome : 'complete';
}

/** What workerd prints of lost connections as uncaught is of the test runner's way to the network: the deployed bundle under `workerd serve` prints nothing of the kind. */
const unhandled: unknown[] = [];
const note = (event: Event) => unhandled.push((event as PromiseRejectionEvent).reason);
beforeAll(() => addEventListener('unhandledrejection', note));
afterAll(() => removeEventListener('unhandledrejection', note));

describe.each(Object.keys(policies))('with %s', (policy) => {
  it.concurrent.each(cases.filter((entry) => entry[0] === policy))('%s, %s: %s', async (_, mode, name, fault) => {
    const [script, alone] = fault[mode]!;
    const outcome = expected(fault[mode]!, policy, mode);
    const id = `fault ${policy} ${mode} ${name}`.replace(/[^a-z0-9]+/gi, '-');
    const faulty = script === 'refuse' ? { name: 'a', url: 'http://127.0.0.1:9/v1' } : endpoint('a');
    const gateway = environment(withPools(policies[policy]!(faulty, alone.includes('origin_timeout') ? short : long)));
    const body = { model: 'pool', stream: mode === 'stream' };
    const asking = chatWith(gateway, `a> ${script}`, body, { headers: { 'x-request-id': id } }).then((response) =>
      outcomeOf(response, mode),
    );
    expect(await within(asking, hangsAfterMs)).toBe(outcome);
    // Nothing is asked for more often than the policy says, and nothing is left open.
    const attempts = await eventually('all connections are done with', async () => {
      const seen = await attemptsAtOrigins(id);
      return seen.every((attempt) => attempt.closed) ? seen : null;
    });
    const asked = attempts.map((attempt) => attempt.endpoint);
    const mostOfA = script === 'refuse' ? 0 : policy === 'one endpoint, again' && /^(5|429)/.test(alone) ? 3 : 1;
    const replacedBy = outcome === alone || policy === 'the edge' ? [] : ['b'];
    const again = asked.filter((endpoint) => endpoint === 'a');
    expect(asked).toEqual([...again, ...replacedBy]);
    expect(again.length).toBeGreaterThanOrEqual(Math.min(1, mostOfA));
    expect(again.length).toBeLessThanOrEqual(mostOfA);
  });
});

describe('all these faults', () => {
  it('are more than thirty, and left no promise unhandled', () => {
    expect(faults.length).toBeGreaterThan(30);
    expect(unhandled).toEqual([]);
  });

  it('are in docs/faults.md, as they are tested here', () => {
    const row = ({ name, stream, whole }: Fault) => `| ${name} | ${stream?.[1] ?? ''} | ${whole?.[1] ?? ''} |`;
    expect(
      table
        .split('\n')
        .filter((line) => line.startsWith('| '))
        .slice(1),
    ).toEqual(faults.map(row));
  });
});
