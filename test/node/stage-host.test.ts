import { beforeEach, describe, expect, it, vi } from 'vitest';
import { encodePlan, planHash } from '../../wasm/engine/pipeline/encode-plan.ts';
import { StageLostError } from '../../wasm/engine/pipeline/peer.ts';
import { PipelineStage } from '../../wasm/engine/pipeline/pipeline-stage.ts';
import { planStages, totalBytes } from '../../wasm/engine/pipeline/plan.ts';
import type { HeadQuery, PipelineMember } from '../../wasm/engine/stage.ts';
import { RemotePeer } from '../../worker/edge/pipeline/remote-peer.ts';
import { StageHost } from '../../worker/edge/pipeline/stage-host.ts';
import { STAGE_VERSION, type StageDoor } from '../../worker/edge/pipeline/stage-protocol.ts';
import { StepScheduler } from '../../worker/edge/scheduler.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS } from '../support/models.ts';
import { answerOf, loadMember } from '../support/pipeline.ts';

const ALL: HeadQuery = { candidates: 320, adjust: null, draw: null };
const pack = memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 7), 'q8_0', { maxFileBytes: 6000 });
const sizes = { sessions: 3, contextLength: 256 };
const plan = planStages(pack.manifest, { ...sizes, budgetBytes: totalBytes(planStages(pack.manifest, sizes).stages[0]!) * 0.985 });
const text = encodePlan(plan);
const LEASE_MS = 1000;

/** The stages of the plan and ways to them, all in this process; the clock is the test's. */
class Deployment {
  clock = 0;
  hosts: StageHost[] = [];
  members: PipelineMember[] = [];
  /** Awaited before every call arrives. */
  delay: (stage: number) => Promise<void> = async () => {};
  running = 0;
  mostRunning = 0;

  constructor() {
    for (const stage of plan.stages.keys()) this.restart(stage);
  }

  restart(stage: number): void {
    const load = async () => {
      const { spec, wasmBytes } = plan.stages[stage]!;
      this.members[stage] = await loadMember(pack, spec, wasmBytes);
      return this.members[stage]!;
    };
    this.hosts[stage] = new StageHost({ plan: planHash(text), stage, load, now: () => this.clock, leaseMs: LEASE_MS, arrived: () => {} });
  }

  door(stage: number): StageDoor {
    const host = this.hosts[stage]!;
    return {
      attach: (hello) =>
        host.attach(structuredClone(hello), (calls) => {
          const sent = async <A, T>(args: A, call: (args: A) => Promise<T>): Promise<T> => {
            this.running += 1;
            this.mostRunning = Math.max(this.mostRunning, this.running);
            await this.delay(stage);
            this.running -= 1;
            if (this.hosts[stage] !== host) throw new Error('The object is gone.');
            return structuredClone(await call(structuredClone(args)));
          };
          return {
            call: (method, args) => sent(args, (copy) => calls.call(method, copy)),
            step: (text, bytes) => sent([text, bytes] as const, (copy) => calls.step(...copy)),
            answer: (text, bytes) => sent([text, bytes] as const, (copy) => calls.answer(...copy)),
          };
        }),
    };
  }

  pipeline(changes: { callMs?: number; idleMs?: number } = {}) {
    const client = crypto.randomUUID();
    const options = { plan: planHash(text), client, ...changes };
    const peers = plan.stages.map(({ spec }, stage) => new RemotePeer({ spec, stage, door: () => this.door(stage), ...options }));
    return { peers, stage: new PipelineStage(pack.manifest.config, peers, { ...sizes, wait: async () => {} }) };
  }

  async sessionBytes(): Promise<number> {
    const memory = await Promise.all(this.members.map((member) => member.memory()));
    return memory.reduce((sum, { sessionBytes }) => sum + sessionBytes, 0);
  }
}

const entry = (session: string, position: number, ids: number[]) => ({ session, position, ids, head: ALL });

describe('stages behind RPC', () => {
  let deployment: Deployment;
  beforeEach(() => {
    deployment = new Deployment();
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
      { version: STAGE_VERSION, plan: planHash(text), stage: 0, client: 'someone else', sessions: [] },
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
    const hello = { version: STAGE_VERSION, plan: planHash(text), stage: 1, client: 'c', sessions: [], ...changes };
    const welcome = await deployment.hosts[1]!.attach(hello, (calls) => calls);
    expect(welcome).toMatchObject({ ok: false, message: expect.stringContaining(message) });
  });
});

describe('several turns at once', () => {
  const now = () => performance.now();
  const yieldNow = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const requests = Array.from({ length: 3 }, (_, i) => ({
    prompt: Array.from({ length: 20 + 50 * i }, (_, id) => (id * 7 + i) % 300),
    seed: i,
  }));
  const ask = (scheduler: StepScheduler) =>
    Promise.all(requests.map(({ prompt, seed }) => answerOf(scheduler, prompt, { seed, topK: 20 }, { prefillChunk: 64 })));

  it('keep several stages busy, and the answers are those of one turn after the other', async () => {
    const one = new Deployment();
    const right = await ask(new StepScheduler(one.pipeline().stage, { now, yieldNow }));
    const several = new Deployment();
    several.delay = () => new Promise((resolve) => setTimeout(resolve, 1));
    const scheduler = new StepScheduler(several.pipeline().stage, { now, yieldNow, turns: 3 });
    expect(await ask(scheduler)).toEqual(right);
    expect(several.mostRunning).toBeGreaterThan(3);
    expect(await several.sessionBytes()).toBe(0);
    expect(scheduler.rates.decode).toBeGreaterThan(0);
  });

  it('may be fewer for answers than for prompts, and the answers are the same', async () => {
    const deployment = new Deployment();
    const { stage } = deployment.pipeline();
    let running = 0;
    let most = 0;
    const step = stage.step.bind(stage);
    stage.step = async (batch, signal) => {
      const isAnswer = batch.some(({ ids }) => ids?.length === 1);
      running += Number(isAnswer);
      most = Math.max(most, running);
      return step(batch, signal).finally(() => {
        running -= Number(isAnswer);
      });
    };
    const right = await ask(new StepScheduler(new Deployment().pipeline().stage, { now, yieldNow }));
    expect(await ask(new StepScheduler(stage, { now, yieldNow, turns: 3, answerTurns: 1 }))).toEqual(right);
    expect(most).toBe(1);
  });

  it('end for the client that leaves, and for nobody else', async () => {
    const deployment = new Deployment();
    const scheduler = new StepScheduler(deployment.pipeline().stage, { now, yieldNow, turns: 3 });
    const leaving = new AbortController();
    const answer = () => answerOf(scheduler, requests[1]!.prompt, { seed: 1, topK: 20 });
    const right = await answer();
    const gone = answerOf(scheduler, requests[2]!.prompt, {}, { maxTokens: 100 }, leaving.signal);
    const staying = answer();
    setTimeout(() => leaving.abort(new Error('gone')), 20);
    await expect(gone).rejects.toThrow('gone');
    expect(await staying).toEqual(right);
    expect(await deployment.sessionBytes()).toBe(0);
  });
});
