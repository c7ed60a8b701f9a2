import { beforeAll, describe, expect, it } from 'vitest';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { StageLostError } from '../../wasm/engine/pipeline/peer.ts';
import { PipelineStage } from '../../wasm/engine/pipeline/pipeline-stage.ts';
import { PrefixCache } from '../../wasm/engine/prefix-cache.ts';
import type { SamplingRequest } from '../../wasm/engine/sampling.ts';
import type { HeadQuery } from '../../wasm/engine/stage.ts';
import { type MemoryPack, memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';
import { answerOf, cutModel, FaultyPeer, loadMember } from '../support/pipeline.ts';
import { randomIntegers } from '../support/random-text.ts';

const ALL: HeadQuery = { candidates: 320, adjust: null, draw: null };
const tokens = (count: number, seed = 1): number[] => Array.from({ length: count }, (_, i) => (i * 37 + seed * 101 + (i % seed)) % 301);
const REQUESTS: SamplingRequest[] = [
  { temperature: 0 },
  { temperature: 1, topK: 20, presencePenalty: 2 },
  { temperature: 0.9, topP: 0.8 },
  {},
];

describe.each(['tied', 'llama'] as const)('losing stages of the %s model', (name: ConfigName) => {
  let pack: MemoryPack;
  let one: LocalStage;
  beforeAll(async () => {
    pack = memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 7), 'q4_0', { maxFileBytes: 5000 });
    one = await loadStage({ modules: nodeKernels(), ...pack });
  });

  function faulty() {
    const peers = cutModel(pack, [1, 2], 2).map((spec) => new FaultyPeer(spec, () => loadMember(pack, spec)));
    let mended = 0;
    const onLoss = () => {
      mended += 1;
    };
    const stage = new PipelineStage(pack.manifest.config, peers, { wait: async () => {}, onLoss });
    return { stage, peers, mended: () => mended };
  }
  const sessionBytes = async (peers: FaultyPeer[]) =>
    (await Promise.all(peers.map((peer) => peer.sessionBytes()))).reduce((sum, bytes) => sum + bytes, 0);

  it('at random, every answer is right', async () => {
    const { stage, peers, mended } = faulty();
    const random = randomIntegers(name === 'tied' ? 11 : 12);
    const jobs = Array.from({ length: 16 }, (_, i) => ({
      prompt: tokens(10 + ((i * 23) % 80), 2 + i),
      request: { ...REQUESTS[i % 4], seed: i },
    }));
    const right = [];
    for (const { prompt, request } of jobs) right.push(await answerOf(one, prompt, request));
    // Some 1 in 100 calls loses a stage; half of the losses leave the instance alive.
    for (const peer of peers) peer.fate = () => (random(100) === 0 ? (random(2) === 0 ? 'kill' : 'cut') : null);
    const answers = [];
    for (let i = 0; i < jobs.length; i += 4) {
      const some = jobs.slice(i, i + 4).map(({ prompt, request }, j) => answerOf(stage, prompt, request, { speculate: () => j % 2 === 0 }));
      answers.push(...(await Promise.all(some)));
    }
    expect(answers).toEqual(right);
    expect(mended()).toBeGreaterThan(20);
  });

  it.each([0, 1, 2, 3, 4])('stage %i between two steps is not noticed', async (lost) => {
    const { stage, peers } = faulty();
    const ids = tokens(100, 5);
    await stage.open('a');
    await one.open('a');
    for (const [from, to] of [
      [0, 64],
      [64, 65],
      [65, 66],
      [66, 100],
    ] as const) {
      const entry = { session: 'a', position: from, ids: ids.slice(from, to), head: ALL };
      expect(await stage.step([entry])).toEqual(await one.step([entry]));
      peers[lost]!.kill();
      expect(await stage.head('a', ALL)).toEqual(await one.head('a', ALL));
    }
    await one.close('a');
    await stage.close('a');
    expect(await sessionBytes(peers)).toBe(0);
  });

  it('in the middle of a step that several sessions share', async () => {
    const { stage, peers } = faulty();
    const sessions = ['a', 'b', 'c'];
    for (const session of sessions) await Promise.all([stage.open(session), one.open(session)]);
    const batch = (from: number, to: number) =>
      sessions.map((session, i) => ({ session, position: from, ids: tokens(80, 3 + i).slice(from, to), head: ALL }));
    for (const [from, to] of [
      [0, 40],
      [40, 41],
      [41, 80],
    ] as const) {
      let calls = 0;
      peers[1]!.fate = () => (++calls === 2 ? 'kill' : null);
      expect(await stage.step(batch(from, to))).toEqual(await one.step(batch(from, to)));
    }
    expect(peers[1]!.losses).toBeGreaterThan(2);
    for (const session of sessions) await Promise.all([stage.close(session), one.close(session)]);
    peers[1]!.fate = () => null;
    expect(await sessionBytes(peers)).toBe(0);
  });

  it('only those sessions are computed again that were in it, and from what is still there', async () => {
    const { stage, peers } = faulty();
    const ids = tokens(120, 3);
    await stage.open('prefix');
    await stage.step([{ session: 'prefix', position: 0, ids: ids.slice(0, 100) }]);
    await stage.fork('prefix', 'a');
    await stage.step([{ session: 'a', position: 100, ids: ids.slice(100, 110) }]);
    let rows = 0;
    const { step } = peers[0]!;
    peers[0]!.step = (batch) => {
      rows += batch.reduce((sum, { hidden }) => sum + hidden!.length / 64, 0);
      return step(batch);
    };
    // Cut off while the instance lives: all its sessions are there, but that of the step is in doubt.
    let calls = 0;
    peers[0]!.fate = () => (++calls === 2 ? 'cut' : null);
    await stage.step([{ session: 'a', position: 110, ids: ids.slice(110, 120), head: ALL }]);
    expect(rows).toBe(10 + 10 + 10);
    expect(await stage.head('a', ALL)).toEqual(
      await (async () => {
        await one.open('x');
        await one.step([{ session: 'x', position: 0, ids }]);
        const answer = await one.head('x', ALL);
        await one.close('x');
        return answer;
      })(),
    );
  });

  it('makes cached prefixes cost their evaluation, and no more', async () => {
    const { stage, peers } = faulty();
    const cache = new PrefixCache(stage, { budgetBytes: 2 ** 24, cutBack: name === 'llama' });
    const prompt = [...tokens(75, 3), ...tokens(30, 5)];
    const session = 'keeping';
    const prefix = await cache.open(session, prompt, 'me', [75]);
    await stage.step([{ session, position: 0, ids: prompt.slice(0, 75) }]);
    await prefix.keep(75);
    await stage.close(session);
    for (const peer of peers) peer.kill();
    const again = await cache.open('again', prompt, 'me', [75]);
    expect(again.cached).toBe(75);
    const [result] = await stage.step([{ session: 'again', position: again.cached, ids: prompt.slice(again.cached), head: ALL }]);
    await one.open('x');
    expect(result).toEqual((await one.step([{ session: 'x', position: 0, ids: prompt, head: ALL }]))[0]);
    await one.close('x');
  });

  it.each([2, 3])('for good makes the step fail with what happened, and it works again when the stage is back: stage %i', async (lost) => {
    const { stage, peers } = faulty();
    await stage.open('a');
    await stage.step([{ session: 'a', position: 0, ids: [1, 2, 3] }]);
    peers[lost]!.fate = () => 'kill';
    const before = peers[lost]!.connects;
    await expect(stage.step([{ session: 'a', position: 3, ids: [4], head: ALL }])).rejects.toBeInstanceOf(StageLostError);
    expect(peers[lost]!.connects - before).toBeLessThan(20);
    peers[lost]!.fate = () => null;
    const [result] = await stage.step([{ session: 'a', position: 3, ids: [4], head: ALL }]);
    await one.open('x');
    expect(result).toEqual((await one.step([{ session: 'x', position: 0, ids: [1, 2, 3, 4], head: ALL }]))[0]);
    await one.close('x');
  });

  it('again and again, while sessions are computed anew, makes no step fail that gets on in between', async () => {
    const { stage, peers, mended } = faulty();
    const sessions = ['a', 'b', 'c', 'd'];
    const batch = (from: number, to: number) =>
      sessions.map((session, i) => ({ session, position: from, ids: tokens(41, 3 + i).slice(from, to), head: ALL }));
    for (const session of sessions) await Promise.all([stage.open(session), one.open(session)]);
    expect(await stage.step(batch(0, 40))).toEqual(await one.step(batch(0, 40)));
    peers[1]!.kill();
    let calls = 0;
    peers[1]!.fate = () => (++calls % 14 === 0 && calls < 14 * 40 ? 'kill' : null);
    expect(await stage.step(batch(40, 41))).toEqual(await one.step(batch(40, 41)));
    expect(mended()).toBeGreaterThan(20);
    for (const session of sessions) await Promise.all([stage.close(session), one.close(session)]);
  });

  it('while a client leaves ends at once', async () => {
    const { stage, peers } = faulty();
    await stage.open('a');
    const leaving = new AbortController();
    peers[1]!.fate = () => {
      leaving.abort(new Error('gone'));
      return 'kill';
    };
    await expect(stage.step([{ session: 'a', position: 0, ids: tokens(40) }], leaving.signal)).rejects.toThrow('gone');
    peers[1]!.fate = () => null;
    await stage.connect();
    await stage.close('a');
    expect(await sessionBytes(peers)).toBe(0);
  });

  it.each([1, 2, 3])('for good, stage %i, is tried no more when the client leaves', async (lost) => {
    const { peers } = faulty();
    const leaving = new AbortController();
    let waits = 0;
    const wait = async () => {
      waits += 1;
      if (waits === 3) leaving.abort(new Error('gone'));
    };
    const stage = new PipelineStage(pack.manifest.config, peers, { wait });
    await stage.open('a');
    peers[lost]!.fate = () => 'kill';
    await expect(stage.step([{ session: 'a', position: 0, ids: tokens(9), head: ALL }], leaving.signal)).rejects.toThrow('gone');
    const { connects } = peers[lost]!;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(waits).toBe(3);
    expect(peers[lost]!.connects).toBe(connects);
    peers[lost]!.fate = () => null;
    await stage.connect();
    await stage.close('a');
    expect(await sessionBytes(peers)).toBe(0);
  });

  it('what a stage has closed on its own, its lease being over, is computed again', async () => {
    const members = await Promise.all(cutModel(pack, [2], 1).map((spec) => loadMember(pack, spec)));
    const peers = members.map((member) => new FaultyPeer(member.spec, async () => member));
    const stage = new PipelineStage(pack.manifest.config, peers, { wait: async () => {} });
    await stage.open('a');
    await stage.step([{ session: 'a', position: 0, ids: tokens(70) }]);
    for (const member of members) for (let i = 0; i < 9; i++) await member.close(`s${i}`);
    const [result] = await stage.step([{ session: 'a', position: 70, ids: [9], head: ALL }]);
    await one.open('x');
    expect(result).toEqual((await one.step([{ session: 'x', position: 0, ids: [...tokens(70), 9], head: ALL }]))[0]);
    await one.close('x');
  });
});
