import { describe, expect, it } from 'vitest';
import { PROMPT_ROWS_BESIDE_ANSWERS, planTurn, TURN_ROWS } from '../../worker/edge/turn-plan.ts';

/** One row is an answer's next token, more are a prompt's. */
const plan = (rows: number[]): number[] => planTurn(rows.map((count) => ({ rows: count, answer: count === 1 })));

it('a lone prompt takes the whole turn', () => {
  expect(plan([32])).toEqual([32]);
  expect(plan([100])).toEqual([32]);
  expect(plan([])).toEqual([]);
});

it('answers come first and prompts share the rest in order', () => {
  expect(plan([20, 1, 20, 1])).toEqual([16, 1, 0, 1]);
  expect(plan([6, 1, 6, 6, 6])).toEqual([6, 1, 6, 4, 0]);
});

it('prompts get on beside any number of answers', () => {
  const shares = plan([30, ...Array<number>(40).fill(1)]);
  expect(shares[0]).toBe(4);
  expect(shares.slice(1)).toEqual(Array<number>(40).fill(1));
});

it('an answer with drafted tokens runs whole, and prompts leave it room', () => {
  const steps = [{ rows: 20, answer: false }, { rows: 4, answer: true }, ...Array.from({ length: 20 }, () => ({ rows: 1, answer: true }))];
  expect(planTurn(steps).slice(0, 2)).toEqual([8, 4]);
});

/** One request of a simulation; times in milliseconds of simulated time. */
interface Request {
  arrives: number;
  prompt: number;
  answer: number;
}

interface Outcome {
  ttft: number;
  /** Longest time between two tokens. */
  longestGap: number;
  finished: number;
}

/** What a turn costs: reading the weights, and then each row. */
const cost = (rows: number): number => 60 + 15 * rows;

/** Plays requests through turns, as generate.ts and the scheduler do: chunks of at most 32, who has got its chunk waits at the end again. */
function simulate(requests: Request[], sessions: number): Outcome[] {
  const states = requests.map((request) => ({
    ...request,
    promptLeft: request.prompt,
    tokens: 0,
    last: 0,
    ttft: 0,
    longestGap: 0,
    finished: 0,
  }));
  const arriving = [...states].sort((a, b) => a.arrives - b.arrives);
  let waiting: { state: (typeof states)[number]; rows: number }[] = [];
  const running = new Set<(typeof states)[number]>();
  let time = 0;
  const ask = (state: (typeof states)[number]) => waiting.push({ state, rows: Math.min(32, state.promptLeft || 1) });
  while (arriving.length > 0 || running.size > 0) {
    while (arriving.length > 0 && running.size < sessions && (arriving[0]!.arrives <= time || running.size === 0)) {
      const state = arriving.shift()!;
      time = Math.max(time, state.arrives);
      running.add(state);
      ask(state);
    }
    const shares = plan(waiting.map(({ rows }) => rows));
    time += cost(shares.reduce((sum, rows) => sum + rows, 0));
    const turn = waiting.map((entry, i) => ({ ...entry, share: shares[i]! }));
    waiting = turn.filter(({ rows, share }) => share < rows).map(({ state, rows, share }) => ({ state, rows: rows - share }));
    for (const { state, share } of turn) state.promptLeft -= Math.min(state.promptLeft, share);
    for (const { state, rows, share } of turn) {
      if (share < rows) continue;
      if (state.promptLeft === 0) {
        if (state.tokens === 0) state.ttft = time - state.arrives;
        else state.longestGap = Math.max(state.longestGap, time - state.last);
        state.tokens += 1;
        state.last = time;
      }
      if (state.tokens < state.answer) ask(state);
      else {
        state.finished = time;
        running.delete(state);
      }
    }
  }
  return states;
}

describe('simulated', () => {
  const longest = cost(PROMPT_ROWS_BESIDE_ANSWERS + 4);

  it('a long prompt delays no token of an answer by more than its share of one turn', () => {
    const [answer] = simulate(
      [
        { arrives: 0, prompt: 10, answer: 200 },
        { arrives: 500, prompt: 4000, answer: 10 },
      ],
      4,
    );
    expect(answer!.longestGap).toBeLessThanOrEqual(longest);
  });

  it('a short prompt behind a long one is answered long before it', () => {
    const [long, short] = simulate(
      [
        { arrives: 0, prompt: 4000, answer: 10 },
        { arrives: 100, prompt: 20, answer: 10 },
      ],
      4,
    );
    // It waits for the turn that runs and for the rest of one chunk.
    expect(short!.ttft).toBeLessThanOrEqual(3 * cost(TURN_ROWS));
    expect(long!.ttft).toBeGreaterThan(10 * short!.ttft);
  });

  it('equal prompts that come together are answered at about the same time', () => {
    const ttfts = simulate(
      Array.from({ length: 4 }, () => ({ arrives: 0, prompt: 320, answer: 20 })),
      4,
    ).map(({ ttft }) => ttft);
    expect(Math.max(...ttfts)).toBeLessThanOrEqual(1.4 * Math.min(...ttfts));
  });

  it('a prompt gets on however many answers and prompts there are', () => {
    let random = 1;
    const next = (below: number) => {
      random = (random * 48271) % 0x7fffffff;
      return random % below;
    };
    const requests = Array.from({ length: 200 }, (_, i) => ({ arrives: i * next(400), prompt: 1 + next(600), answer: 1 + next(60) }));
    const sessions = 8;
    const outcomes = simulate(requests, sessions);
    for (const [i, { finished, longestGap }] of outcomes.entries()) {
      expect(finished, `request ${i} has finished`).toBeGreaterThan(0);
      expect(longestGap).toBeLessThanOrEqual(cost(PROMPT_ROWS_BESIDE_ANSWERS + sessions));
    }
    // Time in the engine: at worst every other session gets a chunk, cut in small shares, for each of its own.
    const alone = (prompt: number) => Math.ceil(prompt / 32) * sessions * 2 * cost(PROMPT_ROWS_BESIDE_ANSWERS + sessions);
    const started = simulate(requests.map((request) => ({ ...request, arrives: 0 })).slice(0, sessions), sessions);
    for (const [i, { ttft }] of started.entries()) expect(ttft).toBeLessThanOrEqual(alone(requests[i]!.prompt) + cost(TURN_ROWS));
  });
});
