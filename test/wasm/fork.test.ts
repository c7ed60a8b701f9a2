import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { memoryPack, randomWeights } from '../support/memory-pack.ts';
import { CONFIGS, type ConfigName } from '../support/models.ts';

const modules = nodeKernels();
const tokens = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + seed * 101) % 301);

describe.each([
  ['tied', 'q4_0'],
  ['llama', 'q8_0'],
] as const)('a fork in the %s model, %s', (name: ConfigName, type) => {
  let stage: LocalStage;
  const ids = tokens(150, 1);
  /** The same beginning, another end. */
  const other = [...ids.slice(0, 70), ...tokens(80, 2)];
  let whole: Float32Array[];
  let otherWhole: Float32Array[];
  const feed = (session: string, from: number, list: number[]) => stage.step([{ session, position: from, ids: list.slice(from) }]);

  beforeAll(async () => {
    stage = await loadStage({ modules, ...memoryPack(CONFIGS[name], randomWeights(CONFIGS[name], 7), type) });
    whole = await stage.forward(ids);
    otherWhole = await stage.forward(other);
  });
  beforeEach(async () => {
    for (const session of ['a', 'b', 'c']) await stage.close(session);
    await stage.open('a');
  });

  it.each([20, 64, 70, 128])('after %i tokens goes on like its source, and neither disturbs the other', async (at) => {
    await feed('a', 0, ids.slice(0, at));
    await stage.fork('a', 'b');
    expect(await stage.logits('b')).toEqual(whole[at - 1]);
    const strange = [...ids.slice(0, at), ...tokens(150 - at, 5)];
    await feed('a', at, strange);
    await feed('b', at, ids);
    expect(await stage.logits('b')).toEqual(whole[149]);
    expect(await stage.logits('a')).toEqual((await stage.forward(strange))[149]);
  });

  it('outlives its source, and a second fork serves another end', async () => {
    await feed('a', 0, ids.slice(0, 70));
    await stage.fork('a', 'b');
    await stage.close('a');
    await stage.fork('b', 'c');
    await feed('c', 70, other);
    expect(await stage.logits('c')).toEqual(otherWhole[149]);
    await stage.close('c');
    // What c gave back is used again, and must not be what b still holds.
    await stage.open('a');
    await feed('a', 0, tokens(150, 9));
    await feed('b', 70, ids);
    expect(await stage.logits('b')).toEqual(whole[149]);
  });

  it('shares full pages, and closing all of them gives everything back', async () => {
    await feed('a', 0, ids.slice(0, 130));
    const alone = await stage.bytesOf(['a']);
    await stage.fork('a', 'b');
    const both = await stage.bytesOf(['a', 'b', 'unknown']);
    expect(both).toBe((await stage.memory()).sessionBytes);
    expect(both).toBeLessThan(2 * alone);
    await stage.close('a');
    expect(await stage.bytesOf(['a', 'b'])).toBe(alone);
    await stage.close('b');
    expect((await stage.memory()).sessionBytes).toBe(0);
  });

  it('of an empty session is empty', async () => {
    await stage.fork('a', 'b');
    await feed('b', 0, ids);
    expect(await stage.logits('b')).toEqual(whole[149]);
  });

  it('is refused, with nothing changed, where it makes no sense', async () => {
    await feed('a', 0, ids.slice(0, 70));
    await stage.open('b');
    const before = await stage.memory();
    await expect(stage.fork('a', 'b')).rejects.toMatchObject({ code: 'session_exists' });
    await expect(stage.fork('zzz', 'c')).rejects.toMatchObject({ code: 'unknown_session' });
    await expect(stage.fork('a', 'c', 71)).rejects.toMatchObject({ code: 'bad_input' });
    if (name === 'tied') await expect(stage.fork('a', 'c', 64)).rejects.toMatchObject({ code: 'bad_input' });
    expect(await stage.memory()).toEqual(before);
    await stage.open('c');
  });
});

it('without recurrent layers a fork may be cut back', async () => {
  const stage = await loadStage({ modules, ...memoryPack(CONFIGS.llama, randomWeights(CONFIGS.llama, 7), 'q8_0') });
  const ids = tokens(150, 1);
  const whole = await stage.forward(ids);
  await stage.open('a');
  await stage.step([{ session: 'a', position: 0, ids: tokens(150, 1).fill(5, 100) }]);
  for (const at of [100, 64, 30, 0]) {
    await stage.fork('a', 'b', at);
    await stage.step([{ session: 'b', position: at, ids: ids.slice(at) }]);
    expect(await stage.logits('b')).toEqual(whole[149]);
    await stage.close('b');
  }
});

it('a fork that memory does not allow changes nothing', async () => {
  const pack = memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 7), 'q8_0');
  const roomy = await loadStage({ modules, ...pack });
  await roomy.open('a');
  await roomy.step([{ session: 'a', position: 0, ids: tokens(70, 1) }]);
  const stage = await loadStage({ modules, ...pack, maxBytes: (await roomy.memory()).wasmBytes });
  await stage.open('a');
  await stage.step([{ session: 'a', position: 0, ids: tokens(70, 1) }]);
  let forks = 0;
  const refused = await (async () => {
    for (;;) await stage.fork('a', `fork-${forks++}`);
  })().catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'out_of_memory' });
  const { sessionBytes } = await stage.memory();
  expect(sessionBytes).toBe(await stage.bytesOf(['a', ...Array.from({ length: forks - 1 }, (_, i) => `fork-${i}`)]));
  await expect(stage.fork('a', 'again')).rejects.toMatchObject({ code: 'out_of_memory' });
  expect((await stage.memory()).sessionBytes).toBe(sessionBytes);
});

it('slots that forks no longer need become pages when memory is short', async () => {
  const pack = memoryPack(CONFIGS.untied, randomWeights(CONFIGS.untied, 7), 'q8_0');
  const small = await loadStage({ modules, ...pack });
  await small.open('a');
  const stage = await loadStage({ modules, ...pack, maxBytes: (await small.memory()).wasmBytes + 2 ** 18 });
  await stage.open('a');
  const forks: string[] = [];
  while (
    await stage.fork('a', `fork-${forks.length}`).then(
      () => true,
      () => false,
    )
  )
    forks.push(`fork-${forks.length}`);
  const ids = tokens(64 * forks.length, 1);
  const feed = () => stage.step([{ session: 'a', position: 0, ids }]);
  await expect(feed()).rejects.toMatchObject({ code: 'out_of_memory' });
  for (const fork of forks) await stage.close(fork);
  await feed();
  expect(await stage.logits('a')).toEqual((await small.forward(ids)).at(-1));
});
