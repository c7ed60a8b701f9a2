import { describe, expect, it } from 'vitest';
import { beginning, Clock } from '../../../bench/sim/clock.ts';
import { EdgeReplica, turnMs } from '../../../bench/sim/edge-replica.ts';
import { scenarioSchema } from '../../../bench/sim/scenario.ts';
import { simRequest } from './requests.ts';

const { edge } = scenarioSchema.parse({ title: '', requestsPerSecond: 1, edge: { loadMs: 1_000 } });

/** Submits requests at once and says when each token came, milliseconds after the beginning. */
async function run(requests: ReturnType<typeof simRequest>[], settings = edge) {
  const clock = new Clock();
  const replica = new EdgeReplica(clock, settings);
  const tokens = requests.map(() => [] as number[]);
  const refused = requests.map((request, i) => {
    const job = replica.submit(request, {
      started: () => {},
      token: () => tokens[i]!.push(clock.now - beginning),
      finished: () => {},
    });
    return job === null;
  });
  for (;;) {
    while (replica.unsettled) await null;
    if (!clock.next()) break;
    while (replica.unsettled) await null;
  }
  return { tokens, refused, replica };
}

describe('a turn of the edge', () => {
  it('has the measured rates: an answer alone, four together, a full chunk of prompt', () => {
    expect(1000 / turnMs(edge, 1, 0)).toBeCloseTo(edge.decode, 6);
    expect(4000 / turnMs(edge, 4, 0)).toBeCloseTo(edge.batchOf4 * edge.decode, 6);
    expect(32_000 / turnMs(edge, 0, 32)).toBeCloseTo(edge.prefill, 6);
  });
});

describe('an edge replica', () => {
  it('loads first, evaluates the prompt in chunks, and gives a token a turn', async () => {
    const { tokens, replica } = await run([simRequest({ promptTokens: 64, outputTokens: 5 })]);
    const first = 1_000 + 64_000 / edge.prefill;
    expect(tokens[0]![0]).toBeCloseTo(first, 3);
    expect(tokens[0]!.at(-1)).toBeCloseTo(first + (4 * 1000) / edge.decode, 3);
    expect(replica.loads).toBe(1);
  });

  it('runs four at once, lets eight wait and refuses more', async () => {
    const { tokens, refused } = await run(Array.from({ length: 14 }, () => simRequest({ promptTokens: 8, outputTokens: 20 })));
    expect(refused.filter(Boolean)).toHaveLength(2);
    expect(tokens.filter((of) => of.length === 20)).toHaveLength(12);
    const ends = tokens.flatMap((of) => of.slice(-1)).sort((a, b) => a - b);
    // Three rounds of four.
    expect(ends[4]! - ends[3]!).toBeGreaterThan(500);
    expect(ends[11]! / ends[3]!).toBeGreaterThan(1.8);
  });

  it('does not evaluate a beginning that it has', async () => {
    const blocks = [1, 2];
    const one = simRequest({ promptTokens: 40, outputTokens: 1, blocks, blockTokens: 16 });
    const { tokens } = await run([one, one], { ...edge, slots: 1 });
    const [cold, warm] = [tokens[0]![0]! - 1_000, tokens[1]![0]! - tokens[0]![0]!];
    expect(warm).toBeLessThan(0.4 * cold);
  });
});
