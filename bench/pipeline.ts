import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FolderStorage } from '../models/pack/folder-storage.ts';
import type { Manifest } from '../models/pack/manifest.ts';
import { openPack } from '../models/pack/reader.ts';
import { type Bundles, bundleWorkers, type PipelineWorkers, startPipeline } from '../test/support/pipeline-workers.ts';
import { describePlan } from '../wasm/engine/pipeline/describe-plan.ts';
import { PLAN_DEFAULTS } from '../wasm/engine/pipeline/plan.ts';
import { openInspector } from './engine/inspector.ts';
import { machine, median } from './machine.ts';
import { ask, endless, inParallel } from './pipeline/load.ts';
import { cpuMs, workerdChildren } from './pipeline/process.ts';
import { twoProcesses } from './pipeline/two-processes.ts';

const HELP = `npm run bench -- pipeline --pack FOLDER [--sessions 4] [--context 512] [--budget 100] [--reps 5] [--kills N] [--soak MINUTES] [--json FILE]
npm run bench -- pipeline --pack FOLDER --two-processes [--turns 2] [...]

One isolate beside the pipeline, in one workerd process each: decode, memory of each stage, cold start from local R2.

  --kills N        besides, end random stages N times under load, and compare every answer with one isolate's
  --soak MINUTES   besides, keep all sessions busy and watch the memory of each stage
  --two-processes  instead, the pipeline in one workerd process and spread over two, by turns: a prompt alone, and four answers at once
  --turns N        batches on their way at once in two processes (NEARSIDE_EDGE_TURNS)`;

const TOKENS = 48;
type Figures = Record<string, unknown>;

interface Started {
  workers: PipelineWorkers;
  pid: number;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const words = (count: number): string => Array.from({ length: count }, (_, i) => ['sea', 'ship', 'wind', 'sail'][i % 4]).join(' ');

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

/** Bytes of WebAssembly memory, JavaScript heap and its buffers of every stage, as the inspector sees them. */
async function stageMemory({ plan, memory, inspectorUrl }: PipelineWorkers) {
  const url = await inspectorUrl();
  const sizes = [];
  for (const stage of plan!.stages.keys()) {
    const inspector = await openInspector(url, `stage-${stage}`);
    const heap = await inspector.send<{ usedSize: number; backingStorageSize?: number }>('Runtime.getHeapUsage');
    inspector.close();
    const wasm = (await memory(stage))?.wasmBytes ?? 0;
    // The inspector counts the WebAssembly memory among the buffers.
    sizes.push({ wasm, heap: heap.usedSize, buffers: Math.max(0, (heap.backingStorageSize ?? 0) - wasm) });
  }
  return sizes;
}

/** All sessions at nearly their full length. */
async function fill(workers: PipelineWorkers, { eosIds }: Manifest, sessions: number, context: number): Promise<void> {
  const answerTokens = 40;
  const tokens = async (count: number) => (await ask(workers, endless(words(count), 1, 1, eosIds))).promptTokens;
  const [few, more] = [await tokens(8), await tokens(24)];
  const count = Math.floor((context - answerTokens - few) / ((more - few) / 16)) + 4;
  await Promise.all(Array.from({ length: sessions }, (_, i) => ask(workers, endless(words(count), answerTokens, i, eosIds))));
}

async function kills(one: PipelineWorkers, several: PipelineWorkers, eosIds: number[], wanted: number): Promise<Figures> {
  const request = (i: number) => endless(`Number ${i}: tell me about the sea.`, 24, i, eosIds);
  let [killed, answered, wrong] = [0, 0, 0];
  let slowest = 0;
  const killer = async () => {
    while (killed < wanted) {
      await new Promise((done) => setTimeout(done, 100 + Math.random() * 600));
      await several.kill(Math.floor(Math.random() * several.plan!.stages.length));
      killed += 1;
    }
  };
  const killing = killer();
  const known = new Map<number, string>();
  for (let round = 0; killed < wanted; round++) {
    const ids = Array.from({ length: 4 }, (_, i) => (round * 4 + i) % 32);
    for (const id of ids) if (!known.has(id)) known.set(id, (await ask(one, request(id))).text);
    const answers = await inParallel(
      4,
      ids.map((id) => () => ask(several, request(id)).catch(() => null)),
    );
    answered += answers.length;
    wrong += answers.filter((answer, i) => answer?.text !== known.get(ids[i]!)).length;
    slowest = Math.max(slowest, ...answers.map((answer) => answer?.totalMs ?? 0));
    process.stderr.write(`  ${killed} kills, ${answered} answers, ${wrong} wrong\n`);
  }
  await killing;
  console.log(`\n${killed} kills under load of 4: ${answered} answers, ${wrong} wrong or broken; slowest ${(slowest / 1000).toFixed(1)} s`);
  return { killed, answered, wrong, slowestMs: slowest };
}

async function soak(workers: PipelineWorkers, eosIds: number[], sessions: number, minutes: number): Promise<Figures> {
  const until = performance.now() + minutes * 60_000;
  const samples: number[][] = [];
  let answers = 0;
  while (performance.now() < until) {
    const minute = performance.now() + 60_000;
    await Promise.all(
      Array.from({ length: sessions }, async (_, i) => {
        for (; performance.now() < Math.min(minute, until); answers++)
          await ask(workers, endless(`${answers} ${words(60)}`, 32, i, eosIds));
      }),
    );
    const sizes = await stageMemory(workers);
    samples.push(sizes.map(({ wasm, heap, buffers }) => wasm + heap + buffers));
    process.stderr.write(`  minute ${samples.length}: ${answers} answers, MB per stage ${samples.at(-1)!.map(megabytes).join(' ')}\n`);
  }
  const growth = samples.at(-1)!.map((bytes, stage) => bytes - samples[0]![stage]!);
  console.log(
    `\nSoak of ${minutes} minutes, ${answers} answers: growth since the first minute, MB per stage ${growth.map(megabytes).join(' ')}`,
  );
  return { minutes, answers, samples };
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
    json: text,
    turns: text,
    'two-processes': { type: 'boolean' },
    help: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help || !values.pack) return void console.log(HELP);
  const pack = resolve(values.pack);
  const { manifest } = await openPack(new FolderStorage(pack));
  const sessions = Number(values.sessions ?? PLAN_DEFAULTS.sessions);
  const contextLength = Number(values.context ?? PLAN_DEFAULTS.contextLength);
  const budgetBytes = values.budget ? Number(values.budget) * 1e6 : PLAN_DEFAULTS.budgetBytes;
  const plan = { sessions, contextLength, budgetBytes };
  const figures: Figures = { machine: machine(), model: manifest.name, ...plan };
  console.log(Object.values(machine()).join(', '));
  const bundles = await bundleWorkers();
  try {
    if (values['two-processes']) {
      const turns = Number(values.turns ?? 2);
      Object.assign(figures, await twoProcesses({ pack, bundles, manifest, plan, turns, reps: Number(values.reps ?? 5) }));
      if (values.json) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
      return;
    }
    const one = await start(bundles, pack, null);
    const several = await start(bundles, pack, plan);
    try {
      for (const line of describePlan(several.workers.plan!, budgetBytes)) console.log(line);
      Object.assign(figures, await compare(one, several, manifest, Number(values.reps ?? 5)));
      await fill(several.workers, manifest, sessions, contextLength);
      figures.memory = report(await stageMemory(several.workers), sessions, contextLength);
      if (values.kills) figures.kills = await kills(one.workers, several.workers, manifest.eosIds, Number(values.kills));
      if (values.soak) figures.soak = await soak(several.workers, manifest.eosIds, sessions, Number(values.soak));
    } finally {
      await one.workers.stop();
      await several.workers.stop();
    }
  } finally {
    await bundles.remove();
  }
  if (values.json) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
}

async function start(bundles: Bundles, pack: string, plan: Parameters<typeof startPipeline>[0]['plan']): Promise<Started> {
  const before = new Set(workerdChildren());
  // All stages share one process and its one thread: there, several batches at once gain nothing.
  const workers = await startPipeline({ pack, bundles, plan, inspector: true, vars: { NEARSIDE_EDGE_TURNS: '1' } });
  return { workers, pid: workerdChildren().find((pid) => !before.has(pid))! };
}

/** Cold start, then decode in turns, so that both have the same neighbours. */
async function compare(one: Started, several: Started, { eosIds }: Manifest, reps: number): Promise<Figures> {
  const cold = { one: await coldStart(one, eosIds), several: await coldStart(several, eosIds) };
  console.log(
    `\nCold start to the first token, from local R2: one isolate ${cold.one.toFixed(0)} ms, pipeline ${cold.several.toFixed(0)} ms`,
  );
  const figures: Figures = { coldMs: cold };
  for (const sessions of [1, 4]) {
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

function report(sizes: { wasm: number; heap: number; buffers: number }[], sessions: number, context: number): Figures {
  console.log(`\nMemory after ${sessions} sessions of nearly ${context} tokens, MB: WebAssembly, JavaScript heap, its buffers, together`);
  for (const [stage, { wasm, heap, buffers }] of sizes.entries()) {
    console.log(`  stage ${stage}: ${[wasm, heap, buffers, wasm + heap + buffers].map(megabytes).join('  ')}`);
  }
  return { stages: sizes };
}
