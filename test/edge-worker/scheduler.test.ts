import { describe, expect, it } from 'vitest';
import type { HeadQuery, StepEntry } from '../../wasm/engine/stage.ts';
import { StageError } from '../../wasm/engine/stage.ts';
import { StepScheduler } from '../../worker/edge/scheduler.ts';
import { peak, ScriptedStage } from '../support/scripted-stage.ts';

const HEAD: HeadQuery = { candidates: 1, adjust: null, draw: null };
const yieldNow = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** A scheduler with a clock that goes on by 10 ms at every reading. */
function setUp() {
  const stage = new ScriptedStage((ids) => peak(ids.length % 5, 5));
  let time = 0;
  /** What a cache could give back. */
  const kept: string[] = [];
  const scheduler = new StepScheduler(stage, { now: () => (time += 10), yieldNow, reclaim: () => kept.shift() ?? null });
  return { stage, scheduler, kept };
}

/** Plays a session: prefill in the given chunks, then `decodes` steps of one token. */
async function play(scheduler: StepScheduler, session: string, chunks: number[], decodes: number, signal?: AbortSignal): Promise<void> {
  await scheduler.open(session);
  try {
    let position = 0;
    for (const size of [...chunks, ...Array<number>(decodes).fill(1)]) {
      const ids = Array.from({ length: size }, () => 1);
      await scheduler.step([{ session, position, ids, head: HEAD }], signal);
      position += size;
    }
  } finally {
    await scheduler.close(session);
  }
}

const shapeOf = (batch: StepEntry[]): string => batch.map(({ session, ids }) => `${session}${ids!.length}`).join(' ');

describe('turns', () => {
  it('batch the decode steps of all sessions', async () => {
    const { stage, scheduler } = setUp();
    await Promise.all(['a', 'b', 'c'].map((session) => play(scheduler, session, [], 5)));
    expect(stage.batches.map((batch) => batch.length)).toEqual([3, 3, 3, 3, 3]);
    expect(stage.sessions.size).toBe(0);
  });

  it('wait for those who take a moment to ask for their next token, some longer than others', async () => {
    const { stage, scheduler } = setUp();
    const hesitant = async (session: string, moments: number) => {
      await scheduler.open(session);
      for (let position = 0; position < 5; position++) {
        await scheduler.step([{ session, position, ids: [1], head: HEAD }]);
        for (let i = 0; i < moments; i++) await null;
      }
      await scheduler.close(session);
    };
    await Promise.all([hesitant('a', 0), hesitant('b', 30), hesitant('c', 100)]);
    expect(stage.batches.map((batch) => batch.length)).toEqual([3, 3, 3, 3, 3]);
  });

  it('take prompts by chunks, one after the other, smaller ones beside answers, which never wait', async () => {
    const { stage, scheduler } = setUp();
    await Promise.all([play(scheduler, 'a', [32, 32], 0), play(scheduler, 'b', [20], 2), play(scheduler, 'd', [], 4)]);
    expect(stage.batches.map(shapeOf)).toEqual(['a16 d1', 'a16 d1', 'b16 d1', 'b4 a12 d1', 'a16 b1', 'a4 b1']);
  });

  it('are full of prompts when nobody waits for an answer', async () => {
    const { stage, scheduler } = setUp();
    await Promise.all([play(scheduler, 'a', [32, 8], 0), play(scheduler, 'b', [12], 0), play(scheduler, 'c', [5], 0)]);
    expect(stage.batches.map(shapeOf)).toEqual(['a32', 'b12 c5 a8']);
  });

  it('ask for logits after the last token of a cut chunk only, at the position where it is', async () => {
    const { stage, scheduler } = setUp();
    await scheduler.open('a');
    const answer = play(scheduler, 'b', [], 9);
    const [result] = await scheduler.step([{ session: 'a', position: 0, ids: [...Array(40).keys()], head: HEAD }]);
    await answer;
    const pieces = stage.batches.flatMap((batch) => batch.filter(({ session }) => session === 'a'));
    expect(pieces.map(({ position, ids, head }) => [position, ids!.length, !!head])).toEqual([
      [0, 16, false],
      [16, 16, false],
      [32, 8, true],
    ]);
    expect(stage.sessions.get('a')).toEqual([...Array(40).keys()]);
    expect(result!.head!.ids).toEqual(Int32Array.of(0));
  });

  it('wait for a session that wants more candidates before it goes on', async () => {
    const { stage, scheduler } = setUp();
    const curious = async () => {
      await scheduler.open('a');
      for (let position = 0; position < 4; position++) {
        await scheduler.step([{ session: 'a', position, ids: [1], head: HEAD }]);
        await scheduler.head('a', { ...HEAD, candidates: 2 });
      }
    };
    await Promise.all([curious(), play(scheduler, 'b', [], 4)]);
    expect(stage.batches.map(shapeOf)).toEqual(['a1 b1', 'b1 a1', 'b1 a1', 'b1 a1']);
  });

  it('run other calls on the stage between them, never during one', async () => {
    const { scheduler } = setUp();
    // ScriptedStage throws when it is called during a step.
    await scheduler.open('a');
    const step = scheduler.step([{ session: 'a', position: 0, ids: [1], head: HEAD }]);
    await yieldNow();
    const [[result], answer] = await Promise.all([
      step,
      scheduler.head('a', { ...HEAD, candidates: 2 }),
      scheduler.open('b'),
      scheduler.close('zzz'),
    ]);
    expect(result!.head!.ids).toEqual(Int32Array.of(1));
    expect(answer.ids).toHaveLength(2);
  });
});

describe('failures', () => {
  it('of one entry do not touch the others of its turn', async () => {
    const { scheduler } = setUp();
    await scheduler.open('a');
    const good = scheduler.step([{ session: 'a', position: 0, ids: [1], head: HEAD }]);
    const bad = scheduler.step([{ session: 'b', position: 0, ids: [1], head: HEAD }]);
    await expect(bad).rejects.toMatchObject({ code: 'unknown_session' });
    expect((await good)[0]!.head!.ids).toEqual(Int32Array.of(1));
  });

  it('of the engine itself reach every session of the turn, and the next turn runs', async () => {
    const { stage, scheduler } = setUp();
    stage.beforeStep = async () => {
      throw new WebAssembly.RuntimeError('unreachable');
    };
    const results = await Promise.allSettled(['a', 'b'].map((session) => play(scheduler, session, [], 1)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    stage.beforeStep = async () => {};
    await play(scheduler, 'c', [], 1);
  });
});

describe('an abort', () => {
  it('withdraws a step that waits, at once', async () => {
    const { stage, scheduler } = setUp();
    const client = new AbortController();
    await scheduler.open('a');
    const step = scheduler.step([{ session: 'a', position: 0, ids: [1] }], client.signal);
    client.abort(new Error('client gone'));
    await expect(step).rejects.toThrow('client gone');
    await expect(scheduler.step([{ session: 'a', position: 0, ids: [1] }], client.signal)).rejects.toThrow('client gone');
    await scheduler.close('a');
    expect(stage.batches).toHaveLength(0);
  });

  it('cuts off a turn that nobody else shares', async () => {
    const { stage, scheduler } = setUp();
    const client = new AbortController();
    // A step that never ends by itself.
    stage.beforeStep = (_, signal) => new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
    const playing = play(scheduler, 'a', [32], 1, client.signal);
    setTimeout(() => client.abort(new Error('client gone')), 5);
    await expect(playing).rejects.toThrow('client gone');
    expect(stage.sessions.size).toBe(0);
  });

  it('withdraws what is left of a chunk that has begun', async () => {
    const { stage, scheduler } = setUp();
    const client = new AbortController();
    stage.beforeStep = async () => {
      if (stage.batches.length === 2) client.abort(new Error('client gone'));
    };
    const [gone, stays] = await Promise.allSettled([play(scheduler, 'a', [64], 1, client.signal), play(scheduler, 'b', [], 5)]);
    expect(gone).toMatchObject({ status: 'rejected', reason: { message: 'client gone' } });
    expect(stays.status).toBe('fulfilled');
    expect(stage.batches.map(shapeOf)).toEqual(['a16 b1', 'a16 b1', 'b1', 'b1', 'b1']);
  });

  it('leaves the others of its turn alone', async () => {
    const { stage, scheduler } = setUp();
    const client = new AbortController();
    stage.beforeStep = async (batch) => {
      if (batch.length === 2) client.abort(new Error('client gone'));
    };
    const [gone, stays] = await Promise.allSettled([play(scheduler, 'a', [], 5, client.signal), play(scheduler, 'b', [], 5)]);
    expect(gone).toMatchObject({ status: 'rejected', reason: { message: 'client gone' } });
    expect(stays.status).toBe('fulfilled');
    expect(stage.batches.map((batch) => batch.length)).toEqual([2, 1, 1, 1, 1]);
  });
});

describe('memory that runs out', () => {
  const full = () => new StageError('out_of_memory', 'full');

  it('is given back by closing what the cache holds, as often as it takes', async () => {
    const { stage, scheduler, kept } = setUp();
    for (const session of ['old', 'older', 'oldest']) await scheduler.open(session);
    kept.push('oldest', 'older', 'old');
    stage.beforeStep = async () => {
      if (stage.sessions.size > 2) throw full();
    };
    await play(scheduler, 'a', [], 3);
    expect([...stage.sessions.keys()]).toEqual(['old']);
    expect(kept).toEqual(['old']);
  });

  it('ends the step that needed it when there is nothing to give back, and no other', async () => {
    const { stage, scheduler } = setUp();
    stage.beforeStep = async (batch) => {
      if (batch.some(({ session }) => session === 'a')) throw full();
    };
    const [a, b] = await Promise.allSettled([play(scheduler, 'a', [], 1), play(scheduler, 'b', [], 2)]);
    expect(a).toMatchObject({ status: 'rejected', reason: { code: 'out_of_memory' } });
    expect(b.status).toBe('fulfilled');
  });
});

it('rates count tokens of a session over the time of its turns', async () => {
  const { scheduler } = setUp();
  expect(scheduler.rates).toEqual({ prefill: null, decode: null });
  await Promise.all([play(scheduler, 'a', [], 8), play(scheduler, 'b', [], 8)]);
  expect(scheduler.rates).toEqual({ prefill: null, decode: 100 });
  expect(scheduler.decodeBatch).toBeCloseTo(2, 1);
  await play(scheduler, 'c', [32, 32], 0);
  expect(scheduler.rates.prefill).toBe(3200);
});
