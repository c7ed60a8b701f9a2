import { beforeEach, describe, expect, it, vi } from 'vitest';
import { StageLostError } from '../../wasm/engine/pipeline/peer.ts';
import type { HeadQuery } from '../../wasm/engine/stage.ts';
import { STAGE_VERSION } from '../../worker/edge/pipeline/stage-protocol.ts';
import { HostedStages, LEASE_MS, PLAN } from '../support/hosted-stages.ts';
import { answerOf } from '../support/pipeline.ts';

const ALL: HeadQuery = { candidates: 320, adjust: null, draw: null };
const entry = (session: string, position: number, ids: number[]) => ({ session, position, ids, head: ALL });

describe('stages behind RPC', () => {
  let deployment: HostedStages;
  beforeEach(() => {
    deployment = new HostedStages();
  });

  it('answer as if they were here, and a restarted one is not noticed', async () => {
    const { stage } = deployment.pipeline();
    const right = await answerOf(stage, [1, 2, 3, 4], { temperature: 0 });
    const again = answerOf(stage, [1, 2, 3, 4], { temperature: 0 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    deployment.restart(0);
    expect(await again).toEqual(right);
    expect(await deployment.sessionBytes()).toBe(0);
  });

  it('refuse more sessions than planned, and serve those they have', async () => {
    const { stage } = deployment.pipeline();
    const open = async () => {
      for (let i = 0; i < 60; i++) {
        await stage.open(`s${i}`);
        await stage.step([
          entry(
            `s${i}`,
            0,
            Array.from({ length: 200 }, (_, id) => id),
          ),
        ]);
      }
    };
    await expect(open()).rejects.toMatchObject({ name: 'StageError', code: 'out_of_memory' });
    const [result] = await stage.step([entry('s0', 200, [5])]);
    expect(result!.head!.ids).toHaveLength(320);
  });

  it('free the sessions of an engine whose place another takes, and listen to the old one no more', async () => {
    const [old, next] = [deployment.pipeline(), deployment.pipeline()];
    await old.stage.open('a');
    await next.stage.connect();
    expect(await deployment.sessionBytes()).toBe(0);
    await next.stage.open('b');
    await expect(old.peers[0]!.memory()).rejects.toBeInstanceOf(StageLostError);
  });

  it('free what was not mentioned for the time of a lease; it is computed again when it is', async () => {
    const { stage } = deployment.pipeline();
    await stage.open('a');
    await stage.step([entry('a', 0, [1, 2, 3])]);
    await stage.open('b');
    deployment.clock += LEASE_MS + 1;
    await stage.step([entry('b', 0, [9])]);
    const onlyB = await deployment.sessionBytes();
    const [late] = await stage.step([entry('a', 3, [4])]);
    expect(await deployment.sessionBytes()).toBeGreaterThan(onlyB);
    await stage.open('c');
    expect(late).toEqual((await stage.step([entry('c', 0, [1, 2, 3, 4])]))[0]);
  });

  it('free what a client that connects again does not know any more', async () => {
    const { peers, stage } = deployment.pipeline();
    await stage.open('a');
    await stage.open('b');
    const two = await deployment.sessionBytes();
    // The call that closes it gets lost with the connection.
    const { close } = peers[0]!;
    peers[0]!.close = async () => {
      throw new StageLostError('lost');
    };
    await stage.close('b');
    peers[0]!.close = close;
    const before = await deployment.sessionBytes();
    expect(before).toBeGreaterThan(two / 2);
    await deployment.hosts[0]!.attach(
      { version: STAGE_VERSION, plan: PLAN, stage: 0, client: 'someone else', sessions: [] },
      (calls) => calls,
    );
    await stage.step([entry('a', 0, [1])]);
    await stage.close('a');
    expect(await deployment.sessionBytes()).toBe(0);
  });

  it('stop in the middle of a step when its client leaves, are asked for no more, and serve others', async () => {
    const { stage } = deployment.pipeline();
    await stage.open('a');
    const leaving = new AbortController();
    const first = deployment.members[0]!;
    const { step } = first;
    let steps = 0;
    const ends: unknown[] = [];
    first.step = (batch, signal) => {
      const result = step.call(first, batch, signal);
      result.then(
        () => ends.push('whole'),
        (error: unknown) => ends.push((error as { code: string }).code),
      );
      steps += 1;
      if (steps === 2) leaving.abort(new Error('gone'));
      return result;
    };
    const ids = Array.from({ length: 200 }, (_, id) => id);
    await expect(stage.step([entry('a', 0, ids)], leaving.signal)).rejects.toThrow('gone');
    await stage.close('a');
    expect(ends).toContain('cancelled');
    // Of seven micro-batches.
    expect(steps).toBeLessThan(4);
    expect(await deployment.sessionBytes()).toBe(0);
    await stage.open('b');
    const [result] = await stage.step([entry('b', 0, [1, 2, 3])]);
    expect(result!.head!.ids).toHaveLength(320);
  });

  it('that hang do not keep a client that leaves', async () => {
    const { stage } = deployment.pipeline();
    await stage.open('a');
    const leaving = new AbortController();
    deployment.delay = () => new Promise(() => {});
    const step = stage.step([entry('a', 0, [1, 2, 3])], leaving.signal);
    setTimeout(() => leaving.abort(new Error('gone')), 5);
    await expect(step).rejects.toThrow('gone');
  });

  it('that do not answer are lost', async () => {
    const { peers } = deployment.pipeline({ callMs: 20 });
    await peers[0]!.connect(() => []);
    deployment.delay = () => new Promise(() => {});
    await expect(peers[0]!.memory()).rejects.toThrow('Stage 0 was lost: it did not answer within 20 ms');
  });

  it('are let go when nobody uses them, also after one did not answer', async () => {
    const [peer] = deployment.pipeline({ callMs: 3000, idleMs: 5000 }).peers;
    await peer!.connect(() => []);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    try {
      deployment.delay = () => new Promise(() => {});
      const lost = expect(peer!.memory()).rejects.toBeInstanceOf(StageLostError);
      await vi.advanceTimersByTimeAsync(4000);
      await lost;
      deployment.delay = async () => {};
      await peer!.connect(() => []);
      await peer!.memory();
      await vi.advanceTimersByTimeAsync(4000);
      expect(peer!.epoch).not.toBeNull();
      await vi.advanceTimersByTimeAsync(4000);
      expect(peer!.epoch).toBeNull();
    } finally {
      vi.useRealTimers();
    }
  });

  it('that fail with anything but a refusal are loaded anew', async () => {
    const { stage } = deployment.pipeline();
    await stage.open('a');
    await stage.step([entry('a', 0, [1, 2])]);
    const broken = deployment.members[1]!;
    broken.step = async () => {
      throw new RangeError('Out of bounds, deep in the kernels.');
    };
    const [result] = await stage.step([entry('a', 2, [3])]);
    expect(deployment.members[1]).not.toBe(broken);
    await stage.open('b');
    expect(result).toEqual((await stage.step([entry('b', 0, [1, 2, 3])]))[0]);
  });

  it.each([
    [{ version: 9 }, `Stage 1 is of version ${STAGE_VERSION}, and the engine of 9: deploy`],
    [{ plan: 'another' }, 'Stage 1 has another plan'],
    [{ stage: 0 }, 'Stage 1 was taken for stage 0: check'],
  ])('that are not what the engine takes them for say so: %o', async (changes, message) => {
    const hello = { version: STAGE_VERSION, plan: PLAN, stage: 1, client: 'c', sessions: [], ...changes };
    const welcome = await deployment.hosts[1]!.attach(hello, (calls) => calls);
    expect(welcome).toMatchObject({ ok: false, message: expect.stringContaining(message) });
  });
});
