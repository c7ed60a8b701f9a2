import { expect, test } from 'vitest';
import type { Turns } from '../../../bench/engine/measurement.ts';
import { LLAMACPP, RATIO_KEYS } from '../../../bench/engine/ratios.ts';
import { type Ask, measureTurns } from '../../../bench/engine/turns.ts';

async function turnsOf(ask: Ask, rounds: number, quick = false) {
  const all: Turns[] = [];
  await measureTurns(ask, rounds, quick, (turns) => all.push(turns));
  return new Map(all.map((turns) => [turns.name, turns]));
}

test('two figures are measured in turn, pair by pair, and the first pair does not count', async () => {
  let asked = 0;
  const turns = await turnsOf(async () => asked++, 3, true);
  // Three engines or figures a round: workerd, llama.cpp, reading.
  expect(turns.get('decode_workerd_vs_llamacpp')).toEqual({ name: 'decode_workerd_vs_llamacpp', of: [3, 6, 9], over: [4, 7, 10] });
  expect(turns.get('decode_workerd_vs_roofline')).toEqual({ name: 'decode_workerd_vs_roofline', of: [3, 6, 9], over: [5, 8, 11] });
});

test('without llama.cpp only the ratios to it are missing', async () => {
  const names = [...(await turnsOf(async (engine) => (engine === LLAMACPP ? null : 1), 2)).keys()];
  const byTurns = RATIO_KEYS.filter((key) => !/_wllama|_ort|memory|load|hold/.test(key));
  expect(byTurns.filter((key) => !names.includes(key))).toEqual(byTurns.filter((key) => key.endsWith('_llamacpp')));
});

test('an engine that fails on the way leaves no ratio of pairs that do not belong together', async () => {
  let left = 4;
  const turns = await turnsOf(async (engine) => (engine === LLAMACPP && left-- <= 0 ? null : 1), 5, true);
  expect([...turns.keys()]).toEqual(['decode_workerd_vs_roofline']);
});
