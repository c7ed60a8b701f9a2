import { expect, it } from 'vitest';
import { parseEdgeConfig } from '../../worker/edge/config.ts';

it('with nothing set takes the small pack in the assets, within what an isolate holds', () => {
  expect(parseEdgeConfig({})).toEqual({
    pack: { from: 'assets', prefix: '' },
    sessions: 4,
    queue: 8,
    maxBytes: 100_000_000,
    prefixCacheBytes: null,
    plan: null,
    turns: 1,
    answerTurns: 1,
    stallMs: 30_000,
  });
});

it.each([
  ['assets:default', { from: 'assets', prefix: 'default' }],
  ['packs/smollm2/', { from: 'r2', prefix: 'packs/smollm2' }],
])('reads where the pack lies: %s', (value, pack) => {
  expect(parseEdgeConfig({ NEARSIDE_EDGE_PACK: value }).pack).toEqual(pack);
});

it.each([
  ['NEARSIDE_EDGE_SESSIONS', '0'],
  ['NEARSIDE_EDGE_QUEUE', 'many'],
  ['NEARSIDE_EDGE_MEMORY_BYTES', '1.5'],
  ['NEARSIDE_EDGE_PREFIX_CACHE_BYTES', '-1'],
  ['NEARSIDE_EDGE_STALL_MS', 'never'],
])('refuses %s=%s by name', (name, value) => {
  expect(() => parseEdgeConfig({ [name]: value })).toThrow(`${name} is not valid: it must be a whole number from `);
});

it('an empty variable is as good as none', () => {
  expect(parseEdgeConfig({ NEARSIDE_EDGE_QUEUE: '' }).queue).toBe(8);
});

it('a prefix cache of no bytes is none, and not the default', () => {
  expect(parseEdgeConfig({ NEARSIDE_EDGE_PREFIX_CACHE_BYTES: '0' }).prefixCacheBytes).toBe(0);
});

const placed = {
  NEARSIDE_EDGE_PLACEMENT: 'pipeline',
  NEARSIDE_EDGE_PLAN: JSON.stringify({
    version: 1,
    model: 'm',
    pack: 'p',
    sessions: 3,
    contextLength: 512,
    stateBytes: 8000,
    stages: [
      [0, 2, 0, 0, 65536],
      [2, 4, 0, 0, 65536],
      [4, 6, 0, 0, 65536],
      [6, 6, 0, 100, 65536],
    ],
  }),
};

it('goes by the plan of a pipeline: prompts cut for every stage of layers, answers in two batches, no more sessions than planned, half of their state for cached prefixes', () => {
  expect(parseEdgeConfig(placed)).toMatchObject({ turns: 3, answerTurns: 2, sessions: 3, prefixCacheBytes: 4000, plan: { model: 'm' } });
  expect(parseEdgeConfig({ ...placed, NEARSIDE_EDGE_TURNS: '1', NEARSIDE_EDGE_SESSIONS: '2' })).toMatchObject({
    turns: 1,
    answerTurns: 1,
    sessions: 2,
  });
  expect(parseEdgeConfig({ ...placed, NEARSIDE_EDGE_TURNS: '4' })).toMatchObject({ turns: 4, answerTurns: 4 });
});

it('asks for a plan where the placement is a pipeline, and leaves one alone where it is not', () => {
  expect(() => parseEdgeConfig({ NEARSIDE_EDGE_PLACEMENT: 'pipeline' })).toThrow('NEARSIDE_EDGE_PLAN');
  expect(parseEdgeConfig({ NEARSIDE_EDGE_PLAN: placed.NEARSIDE_EDGE_PLAN })).toMatchObject({ plan: null, turns: 1, sessions: 4 });
});
