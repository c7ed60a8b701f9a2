import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FolderStorage } from '../models/pack/folder-storage.ts';
import { openPack } from '../models/pack/reader.ts';
import { Measurements, spread } from './engine/measurement.ts';
import { benchGguf, benchPack, fetchedSmollm2 } from './engine/model-files.ts';
import { findChromium, installPeer } from './engine/peers/install.ts';
import { LLAMACPP, MODEL, NODE, ORT, ratios, WORKERD } from './engine/ratios.ts';
import { runChild } from './engine/run-child.ts';
import { engineTable, otherFigures, ratioTable } from './engine/table.ts';
import { ROOT } from './engine/workerd.ts';
import { describeMachine, machine } from './machine.ts';

const HELP = `Usage: npm run bench -- engine [--quick] [--json FILE] [--model GGUF] [--reps N] [--rounds N]

Our engine in workerd and in Node beside llama.cpp (native, and as wllama in Chromium) and onnxruntime-web, all from the same GGUF, one after the
other. Without --model: the 0.8B in its true shape with random weights, made into .cache/bench. SmolLM2-135M too, if npm run fetch:smollm2 was run.
Wants an otherwise idle machine. Peers are installed into .cache/bench/peers; one that cannot run is skipped by name.

  --quick       decode and prefill only, against native llama.cpp
  --profile     where our engine's time goes instead: share, bytes and MACs of each kernel
  --json FILE   write all figures
  --model GGUF  measure this instead, under the same names
  --reps N      samples of each figure in a round (5; 3 with --quick)
  --rounds N    run everything N times, so that each engine has its share of the machine's moods (1)
`;

/** One process to run. */
interface Task {
  engine: string;
  script: string;
  args: object;
  /** Why it cannot run here. */
  skip?: string | null;
}

interface Settings {
  quick: boolean;
  reps: number;
}

/** Our engine and llama.cpp in turns, so that what is compared most runs closest together. */
async function tasksFor(model: string, gguf: string, settings: Settings): Promise<Task[]> {
  const pack = await benchPack(gguf, 'q4_0');
  const { tokenCount } = (await openPack(new FolderStorage(pack))).manifest;
  const llamacppMissing = installPeer('node-llama-cpp');
  const ours = (threads: number): Task => ({ engine: NODE, script: 'our-node.ts', args: { pack, model, threads, ...settings } });
  const llamacpp = (threads: number): Task => ({
    engine: LLAMACPP,
    script: 'peers/llamacpp.ts',
    args: { gguf, model, tokenCount, threads, ...settings },
    skip: llamacppMissing,
  });
  const tasks: Task[] = [{ engine: WORKERD, script: 'our-workerd.ts', args: { pack, model, ...settings } }, llamacpp(1), ours(1)];
  if (settings.quick) return tasks;
  tasks.push(llamacpp(2), ours(2), ...wllamaTasks(model, gguf, settings));
  if (model === MODEL) tasks.push({ engine: ORT, script: 'peers/onnxruntime.ts', args: { pack, model, ...settings } });
  return tasks;
}

function wllamaTasks(model: string, gguf: string, settings: Settings): Task[] {
  const chromium = findChromium();
  const skip = chromium
    ? installPeer('wllama')
    : 'there is no Chromium: install one (on Debian: apt-get install chromium) or name its program in CHROMIUM';
  const types = model === MODEL ? ['Q4_0', 'Q4_K'] : ['GGUF'];
  return types.flatMap((type) =>
    [1, 2].map((threads) => ({
      engine: `wllama ${type}`,
      script: 'peers/wllama.ts',
      args: { gguf, model, type, threads, chromium, ...settings },
      skip,
    })),
  );
}

interface Outcome {
  run: Measurements;
  facts: Record<string, string | number>;
  skipped: Record<string, string>;
}

/** @param save called after each task, so that a run that is cut short leaves what it measured */
async function measure(tasks: Task[], { run, facts, skipped }: Outcome, save: () => void): Promise<void> {
  for (const { engine, script, args, skip } of tasks) {
    if (skip) {
      skipped[engine] = skip;
      continue;
    }
    const load = loadavg()[0]!;
    if (load > 1.5) process.stderr.write(`The machine is busy (load ${load.toFixed(1)}): the figures that follow are not worth much.\n`);
    facts['highest load before a measurement'] = Math.max(load, Number(facts['highest load before a measurement'] ?? 0));
    try {
      await runChild(script, args, (message) => {
        if (message.kind === 'measurement') run.add(message);
        else if (message.kind === 'fact') facts[`${message.engine}: ${message.name}`] = message.value;
        else skipped[message.engine] = message.reason;
      });
    } catch (error) {
      skipped[engine] = (error as Error).message;
    }
    save();
  }
}

const folderBytes = (folder: string): number => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

function writeReport(file: string, { run, facts, skipped }: Outcome, sizes: Record<string, number>, settings: Settings): void {
  const all = ratios(run);
  const report = {
    machine: machine(),
    settings,
    facts,
    sizes,
    skipped,
    ratios: Object.fromEntries(Object.entries(all).map(([key, { value }]) => [key, value])),
    targets: all,
    measurements: run.all.map((measurement) => ({ ...measurement, ...spread(measurement.samples), samples: measurement.samples })),
  };
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

/** Assembles read.wat, which the Worker imports. */
function buildReader(): void {
  const folder = join(ROOT, 'bench/engine');
  mkdirSync(join(folder, 'dist'), { recursive: true });
  const assembler = join(ROOT, 'node_modules/binaryen/bin/wasm-as');
  execFileSync(process.execPath, [assembler, join(folder, 'read.wat'), '-o', join(folder, 'dist/read.wasm'), '--enable-simd']);
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      json: { type: 'string' },
      model: { type: 'string' },
      reps: { type: 'string' },
      rounds: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const settings = { quick: values.quick, reps: Number(values.reps ?? (values.quick ? 3 : 5)) };
  buildReader();
  const gguf = benchGguf(values.model ?? null);
  const on = machine();
  console.log(describeMachine(on));
  if (values.profile) {
    await (await import('./engine/profile.ts')).profile(await benchPack(gguf, 'q4_0'), settings.reps, values.json ?? null);
    return;
  }
  const outcome: Outcome = { run: new Measurements(), facts: {}, skipped: {} };
  const both = !values.quick && values.model === undefined;
  const smollm2 = both ? fetchedSmollm2() : null;
  if (both && !smollm2) outcome.skipped['SmolLM2-135M'] = 'it is not there: run npm run fetch:smollm2';
  const tasks = await tasksFor(MODEL, gguf, settings);
  if (smollm2) tasks.push(...(await tasksFor('smollm2', smollm2, settings)));
  const sizes: Record<string, number> = { gguf: statSync(gguf).size, pack: folderBytes(await benchPack(gguf, 'q4_0')) };
  const save = () => values.json && writeReport(values.json, outcome, sizes, settings);
  for (let round = 0; round < Number(values.rounds); round++) await measure(tasks, outcome, save);
  print(outcome, sizes, settings);
}

function print({ run: measured, facts, skipped }: Outcome, sizes: Record<string, number>, settings: Settings): void {
  for (const model of new Set(measured.all.map((measurement) => measurement.model))) {
    console.log(`\nTokens per second (medians of ${settings.reps}; ± half of slowest to fastest)\n${engineTable(measured, model)}\n`);
    console.log(otherFigures(measured, model));
  }
  console.log(`\n${ratioTable(ratios(measured))}\n`);
  for (const [name, bytes] of Object.entries(sizes)) console.log(`${name}: ${(bytes / 1e6).toFixed(1)} MB`);
  for (const [name, value] of Object.entries(facts)) console.log(`${name}: ${value}`);
  for (const [name, reason] of Object.entries(skipped)) console.log(`Skipped ${name}: ${reason}`);
}
