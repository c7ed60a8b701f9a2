import { describe, expect, it } from 'vitest';
import { Budget } from '../../../worker/origin/budget.ts';
import { type FailureKind, OriginFailure } from '../../../worker/origin/failure.ts';
import { mayAskAgain, type RetryState, retryDelay } from '../../../worker/origin/retry.ts';

const failure = (kind: FailureKind, pauseMs: number | null = null) => new OriginFailure(kind, 502, 'code', 'Message.', { pauseMs });
const once: RetryState = { attempts: 1, retries: 2, another: true, idempotent: true, stream: true };
const alone = { ...once, another: false };

describe('retryDelay', () => {
  it.each<[string, OriginFailure, RetryState, number | null]>([
    ['elsewhere, soon', failure('error'), once, 50],
    ['elsewhere at once when asked for a pause', failure('overloaded', 20_000), once, 0],
    ['at the same, later', failure('unreachable'), alone, 100],
    ['at the same, later and later', failure('unreachable'), { ...alone, attempts: 2 }, 200],
    ['not a third time', failure('unreachable'), { ...once, attempts: 3 }, null],
    ['not where retries are off', failure('unreachable'), { ...once, retries: 0 }, null],
    ['after the pause asked for', failure('overloaded', 900), alone, 900],
    ['not after more than a second: the client waits', failure('overloaded', 1_001), alone, null],
    ['a slow stream elsewhere', failure('timeout'), once, 50],
    ['a slow stream not at the same', failure('timeout'), alone, null],
    ['not what used up its time', failure('timeout'), { ...once, stream: false }, null],
    ['a wrong answer elsewhere', failure('wrong'), once, 50],
    ['a wrong answer not at the same', failure('wrong'), alone, null],
    ['what must not be done twice not after it may have been', failure('broken'), { ...once, idempotent: false }, null],
    ['what must not be done twice after a clear refusal', failure('overloaded', 0), { ...once, idempotent: false }, 0],
  ])('%s', (_, error, state, expected) => {
    expect(retryDelay(error, state, 0.5)).toBe(expected);
  });

  it('spreads over the whole interval', () => {
    expect([0, 1].map((random) => retryDelay(failure('error'), alone, random))).toEqual([0, 200]);
  });
});

describe('mayAskAgain', () => {
  it('knows that a lost connection proves nothing', () => {
    expect(mayAskAgain(failure('unreachable'), false)).toBe(false);
    expect(mayAskAgain(failure('unreachable'), true)).toBe(true);
  });
});

describe('Budget', () => {
  it('allows a share of the traffic, and a few at any time', () => {
    const budget = new Budget(0.1, 10);
    let allowed = 0;
    for (let i = 0; i < 1000; i++) {
      budget.deposit();
      if (budget.take()) allowed++;
    }
    // A tenth, and the ten that were there at the start (the first deposit found the bucket full).
    expect(allowed).toBe(109);
  });

  it('saves up no more than its most', () => {
    const budget = new Budget(0.5, 2);
    for (let i = 0; i < 100; i++) budget.deposit();
    expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false]);
  });
});
