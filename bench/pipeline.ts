import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FolderStorage } from '../models/pack/folder-storage.ts';
import type { Manifest } from '../models/pack/manifest.ts';
import { openPack } from '../models/pack/reader.ts';
import { type Bundles, bundleWorkers, type PipelineWorkers, startPipeline } from '../test/support/pipeline-workers.ts';
import { describePlan } from '../wasm/engine/pipeline/describe-plan.ts';
import { PLAN_DEFAULTS } from '../wasm/engine/pipeline/plan.ts';
import { machine, median } from './machine.ts';
import { type Bounds, numberOption, packOption } from './options.ts';
import { killStages } from './pipeline/kills.ts';
import { ask, endless, words } from './pipeline/load.ts';
import { megabytes, type StageMemory, stageMemory, total } from './pipeline/memory.ts';
import { cpuMs, workerdChildren } from './pipeline/process.ts';
import { type Soak, soak } from './pipeline/soak.ts';
import { twoProcesses } from './pipeline/two-processes.ts';

const HELP = `npm run bench -- pipeline --pack FOLDER [--sessions 4] [--context 512] [--budget 100] [--reps 5] [--kills N] [--soak MINUTES] [--soak-duty SHARE] [--json FILE]
npm run bench -- pipeline --pack FOLDER --two-processes [--turns 2] [...]

One isolate beside the pipeline, in one workerd process each: decode, memory of each stage, cold start from local R2.

  --reps N         measurements of decode, by turns; 0: none
  --kills N        besides, end random stages N times under load, and compare every answer with one isolate's
  --soak MINUTES   besides, keep all sessions busy and watch the memory of each stage
  --soak-duty X    share of the time that they are busy, over 0 to 1 (default 1)
  --json FILE      is written after every part and every minute of a soak, so that Ctrl-C loses no more than that
  --two-processes  instead, the pipeline in one workerd process and spread over two, by turns: a prompt alone, and four answers at once
  --turns N        batches of answers on their way at once in two processes (NEARSIDE_EDGE_TURNS)`;

const TOKENS = 48;
type Figures = Record<string, unknown>;

interface Started {
  workers: PipelineWorkers;
  pid: number;
  /** Any number of times. */
  stop(): Promise<void>;
}

/** What a token costs, with `sessions` answers at once: wall clock and CPU of the process, per token and session, without prefill. */
async function decode({ workers, pid }: Started, eosIds: number[], sessions: number) {
  const run = async (tokens: number) => {
    const [cpu, started] = [cpuMs(pid), performance.now()];
    await Promise.all(Array.from({ length: sessions }, (_, i) => ask(workers, endless('Tell me about the sea.', tokens, i, eosIds))));
    return { cpu: cpuMs(pid) - cpu, wall: performance.now() - started };
  };
  const short = await run(2);
  const long = await run(2 + TOKENS);
  return { cpu: (long.cpu - short.cpu) / TOKENS / sessions, wall: (long.wall - short.wall) / TOKENS / sessions };
}

/** All sessions at nearly their full length. Answers with the number of words that makes. */
async function fill(workers: PipelineWorkers, { eosIds }: Manifest, sessions: number, context: number): Promise<number> {
  const answerTokens = 40;
  const tokens = async (count: number) => (await ask(workers, endless(words(count), 1, 1, eosIds))).promptTokens;
  const [few, more] = [await tokens(8), await tokens(24)];
  const count = Math.floor((context - answerTokens - few) / ((more - few) / 16)) + 4;
  await Promise.all(Array.from({ length: sessions }, (_, i) => ask(workers, endless(words(count), answerTokens, i, eosIds))));
  return count;
}

export async function run(args: string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const options = {
    pack: text,
    sessions: text,
    context: text,
    budget: text,
    reps: text,
    kills: text,
    soak: text,
    'soak-duty': text,
    json: text,
    turns: text,
    'two-processes': { type: 'boolean' },
    help: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help || !values.pack) return void console.log(HELP);
  const given = (
    name: 'sessions' | 'context' | 'budget' | 'reps' | 'kills' | 'soak' | 'soak-duty' | 'turns',
    fallback: number,
    bounds: Bounds,
  ) => (values[name] === undefined ? fallback : numberOption(name, values[name], bounds));
  const count = { min: 1, whole: true };
  const sessions = given('sessions', PLAN_DEFAULTS.sessions, count);
  const contextLength = given('context', PLAN_DEFAULTS.contextLength, count);
  const budgetBytes = 1e6 * given('budget', PLAN_DEFAULTS.budgetBytes / 1e6, { over: 0 });
  const turns = given('turns', 2, count);
  const reps = given('reps', 5, values['two-processes'] ? count : { whole: true });
  const kills = given('kills', 0, { whole: true });
  const minutes = given('soak', 0, {});
  const duty = given('soak-duty', 1, { over: 0, max: 1 });
  const pack = resolve(packOption('pack', values.pack));
  const { manifest } = await openPack(new FolderStorage(pack));
  const plan = { sessions, contextLength, budgetBytes };
  const figures: Figures = { machine: machine(), model: manifest.name, ...plan };
  const save = async () => {
    if (values.json) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  };
  console.log(Object.values(machine()).join(', '));
  const bundles = await bundleWorkers();
  try {
    if (values['two-processes']) {
      Object.assign(figures, await twoProcesses({ pack, bundles, manifest, plan, turns, reps }));
      await save();
      return;
    }
    const one = await start(bundles, pack, null);
    const several = await start(bundles, pack, plan);
    try {
      for (const line of describePlan(several.workers.plan!, budgetBytes)) console.log(line);
      const parts = { reps, kills, minutes, duty };
      await measure(one, several, manifest, { sessions, contextLength, ...parts }, async (found) => {
        Object.assign(figures, found);
        await save();
      });
    } finally {
      await one.stop();
      await several.stop();
    }
  } finally {
    await bundles.remove();
  }
}

interface Parts {
  sessions: number;
  contextLength: number;
  reps: number;
  kills: number;
  minutes: number;
  duty: number;
}

/** One part after the other; each that is done is told, so that it is not lost with what comes after. */
async function measure(one: Started, several: Started, manifest: Manifest, parts: Parts, done: (found: Figures) => Promise<void>) {
  const { sessions, contextLength, reps, kills, minutes, duty } = parts;
  const { eosIds } = manifest;
  await done(await compare(one, several, manifest, reps));
  const mostWords = await fill(several.workers, manifest, sessions, contextLength);
  await done({ memory: report(await stageMemory(several.workers), sessions, contextLength) });
  if (kills > 0) await done({ kills: await killStages(one.workers, several.workers, { eosIds, wanted: kills }) });
  // It would only take room.
  await one.stop();
  const save = (found: Soak) => done({ soak: found });
  if (minutes > 0) await soak(several.workers, { sessions, minutes, duty, eosIds, mostWords, save });
}

async function start(bundles: Bundles, pack: string, plan: Parameters<typeof startPipeline>[0]['plan']): Promise<Started> {
  const before = new Set(workerdChildren());
  // All stages share one process and its one thread: there, several batches at once gain nothing.
  const workers = await startPipeline({ pack, bundles, plan, inspector: true, vars: { NEARSIDE_EDGE_TURNS: '1' } });
  let stopping: Promise<void> | null = null;
  const stop = () => (stopping ??= workers.stop());
  return { workers, pid: workerdChildren().find((pid) => !before.has(pid))!, stop };
}

/** Cold start, then decode in turns, so that both have the same neighbours. */
async function compare(one: Started, several: Started, { eosIds }: Manifest, reps: number): Promise<Figures> {
  const cold = { one: await coldStart(one, eosIds), several: await coldStart(several, eosIds) };
  console.log(
    `\nCold start to the first token, from local R2: one isolate ${cold.one.toFixed(0)} ms, pipeline ${cold.several.toFixed(0)} ms`,
  );
  const figures: Figures = { coldMs: cold };
  for (const sessions of reps > 0 ? [1, 4] : []) {
    const runs: Record<'one' | 'several', { cpu: number; wall: number }>[] = [];
    for (let i = 0; i < reps; i++)
      runs.push({ one: await decode(one, eosIds, sessions), several: await decode(several, eosIds, sessions) });
    const of = (which: 'one' | 'several', what: 'cpu' | 'wall') => median(runs.map((figure) => figure[which][what]));
    const line = (what: 'cpu' | 'wall') => {
      const ratio = median(runs.map((figure) => figure.several[what] / figure.one[what]));
      return `${of('one', what).toFixed(1)} and ${of('several', what).toFixed(1)} ms (${((ratio - 1) * 100).toFixed(1)} %)`;
    };
    console.log(`Decode, ${sessions} at once, a token, one isolate and pipeline: ${line('wall')}; CPU ${line('cpu')}`);
    figures[`decode${sessions}`] = runs;
  }
  return figures;
}

const coldStart = async ({ workers }: Started, eosIds: number[]): Promise<number> =>
  (await ask(workers, endless('the sea and the ships', 2, 1, eosIds))).firstMs;

function report(sizes: StageMemory[], sessions: number, context: number): Figures {
  console.log(`\nMemory after ${sessions} sessions of nearly ${context} tokens, MB: WebAssembly, JavaScript heap, its buffers, together`);
  for (const [stage, size] of sizes.entries())
    console.log(`  stage ${stage}: ${[size.wasm, size.heap, size.buffers, total(size)].map(megabytes).join('  ')}`);
  return { stages: sizes };
}
