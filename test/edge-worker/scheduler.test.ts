import { describe, expect, it } from 'vitest';
import type { HeadQuery, StepEntry } from '../../wasm/engine/stage.ts';
import { StepScheduler } from '../../worker/edge/scheduler.ts';
import { peak, ScriptedStage } from '../support/scripted-stage.ts';

const HEAD: HeadQuery = { candidates: 1, adjust: null, draw: null };
const yieldNow = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** A scheduler with a clock that goes on by 10 ms at every reading. */
function setUp() {
  const stage = new ScriptedStage((ids) => peak(ids.length % 5, 5));
  let time = 0;
  const scheduler = new StepScheduler(stage, { now: () => (time += 10), yieldNow });
  return { stage, scheduler };
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

  it('take one prefill chunk at a time, in turn, and stall no decode', async () => {
    const { stage, scheduler } = setUp();
    await Promise.all([play(scheduler, 'a', [32, 32, 32], 0), play(scheduler, 'b', [32], 2), play(scheduler, 'd', [], 4)]);
    expect(stage.batches.map(shapeOf)).toEqual(['a32 d1', 'b32 d1', 'a32 b1 d1', 'a32 b1 d1']);
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

it('rates count tokens of a session over the time of its turns', async () => {
  const { scheduler } = setUp();
  expect(scheduler.rates).toEqual({ prefill: null, decode: null });
  await Promise.all([play(scheduler, 'a', [], 8), play(scheduler, 'b', [], 8)]);
  expect(scheduler.rates).toEqual({ prefill: null, decode: 100 });
  await play(scheduler, 'c', [32, 32], 0);
  expect(scheduler.rates.prefill).toBe(3200);
});
