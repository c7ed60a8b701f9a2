import { describe, expect, it } from 'vitest';
import { exponential, generator } from '../../../bench/random.ts';
import { beginning, Clock } from '../../../bench/sim/clock.ts';
import { GpuNode } from '../../../bench/sim/gpu-node.ts';
import { scenarioSchema } from '../../../bench/sim/scenario.ts';
import { simRequest } from './requests.ts';

const { origin } = scenarioSchema.parse({ title: '', requestsPerSecond: 1 });

/** Requests as they arrive, milliseconds, and when each had its first and its last token. */
function run(requests: ReturnType<typeof simRequest>[], settings: Partial<typeof origin> = {}) {
  const clock = new Clock();
  const node = new GpuNode(clock, { ...origin, ...settings });
  const seen = requests.map(() => ({ first: Number.NaN, last: Number.NaN }));
  requests.forEach((request, i) => {
    clock.at(beginning + request.at, () => {
      node.submit(request, {
        firstToken: () => {
          seen[i]!.first = clock.now - beginning;
        },
        finished: () => {
          seen[i]!.last = clock.now - beginning;
        },
        failed: () => {},
      });
    });
  });
  while (clock.next());
  return seen;
}

describe('a GPU', () => {
  it('alone: the prompt and an iteration, then a token an iteration', () => {
    const [only] = run([simRequest({ promptTokens: 460, outputTokens: 11, maxTokens: null })]);
    expect(only!.first).toBeCloseTo(origin.tpotMs + (1000 * 460) / origin.prefill, 6);
    expect(only!.last! - only!.first!).toBeCloseTo(10 * origin.tpotMs, 6);
  });

  it('with others: each iteration is a little longer, and all share it', () => {
    const seen = run(Array.from({ length: 8 }, () => simRequest({ promptTokens: 10, outputTokens: 101, maxTokens: null })));
    const perToken = (seen[0]!.last - seen[0]!.first) / 100;
    expect(perToken).toBeCloseTo(origin.tpotMs + 7 * origin.tpotMsPerSequence, 6);
    expect(new Set(seen.map(({ last }) => last)).size).toBe(1);
  });

  it('whoever comes joins at the next iteration and changes nothing that was', () => {
    const [first, second] = run([
      simRequest({ promptTokens: 10, outputTokens: 50, maxTokens: null }),
      simRequest({ at: 130, promptTokens: 10, outputTokens: 2, maxTokens: null }),
    ]);
    expect(second!.first).toBeGreaterThan(130);
    expect(second!.first).toBeLessThan(130 + 3 * origin.tpotMs);
    expect(first!.last).toBeLessThan(50 * origin.tpotMs + 50);
  });

  it('holds no more keys and values than it has room for', () => {
    const long = () => simRequest({ promptTokens: 700, outputTokens: 100, maxTokens: null });
    const seen = run([long(), long()], { kvTokens: 1_000 });
    expect(seen[1]!.first).toBeGreaterThan(seen[0]!.last);
  });

  it('one at a time is an M/D/1 queue: its mean wait is that of Pollaczek and Khinchine', () => {
    const random = generator(3);
    // One token each, so that a prompt of 0 more than one row takes an iteration: a fixed service time.
    const serviceMs = origin.tpotMs + (1000 * 46) / origin.prefill;
    const load = 0.7;
    let at = 0;
    const requests = Array.from({ length: 40_000 }, () => {
      at += (exponential(random) * serviceMs) / load;
      return simRequest({ at, promptTokens: 46, outputTokens: 1, maxTokens: null });
    });
    const seen = run(requests, { slots: 1 });
    const wait = seen.reduce((sum, { last }, i) => sum + last - requests[i]!.at - serviceMs, 0) / requests.length;
    const expected = (load * serviceMs) / (2 * (1 - load));
    expect(wait / expected).toBeGreaterThan(0.93);
    expect(wait / expected).toBeLessThan(1.07);
  });
});
