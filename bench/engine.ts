import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Child } from './engine/child.ts';
import { type EngineJob, Measurements, spread } from './engine/measurement.ts';
import { benchGguf, benchPack, fetchedSmollm2 } from './engine/model-files.ts';
import { MODEL, ratios } from './engine/ratios.ts';
import { engineTable, otherFigures, otherTurns, ratioTable } from './engine/table.ts';
import { fastTasks, type Settings, slowTasks, type Task } from './engine/tasks.ts';
import { measureTurns } from './engine/turns.ts';
import { ROOT } from './engine/workerd.ts';
import { cpuFeatures, describeMachine, machine } from './machine.ts';
import { fileOption, numberOption } from './options.ts';

const HELP = `Usage: npm run bench -- engine [--quick] [--json FILE] [--model GGUF] [--reps N] [--pairs N] [--rounds N]

Our engine in workerd and in Node beside llama.cpp (native, and as wllama in Chromium) and onnxruntime-web, all from the same GGUF, one after the
other, the slow ones first. Figures are medians. Ratios of our figures to each other, to native llama.cpp's and to reading memory are measured by
turns after that, with all engines loaded (4 GB) and one at work: a ratio is the median of its pairs, so it need not be the quotient of the figures.
Without --model: the 0.8B in its true shape with random weights, made into .cache/bench. SmolLM2-135M too, if npm run fetch:smollm2 was run.
Wants an otherwise idle machine. Peers are installed into .cache/bench/peers; one that cannot run is skipped by name.

  --quick       decode and prefill only, against native llama.cpp
  --profile     where our engine's time goes instead: share, bytes and MACs of each kernel
  --json FILE   write all figures
  --model GGUF  measure this instead, under the same names
  --reps N      samples of each figure in a round (5; 3 with --quick)
  --pairs N     pairs of each ratio measured by turns, in a round (9; 5 with --quick)
  --rounds N    run everything N times, so that each engine has its share of the machine's moods (1)
`;

interface Outcome {
  run: Measurements;
  facts: Record<string, string | number>;
  skipped: Record<string, string>;
}

/** Runs engines in processes of their own, and saves after each, so that a run that is cut short leaves what it measured. */
class Runner {
  readonly #outcome: Outcome;
  readonly #save: () => void;

  constructor(outcome: Outcome, save: () => void) {
    this.#outcome = outcome;
    this.#save = save;
  }

  /** One after the other. */
  async all(tasks: Task[]): Promise<void> {
    for (const task of tasks) await this.#stop(task.engine, await this.#measure(task));
  }

  /** One after the other, and then by turns, for which they stay. */
  async byTurns(tasks: Task[], { pairs, quick }: Settings): Promise<void> {
    const children = new Map<string, Child>();
    try {
      for (const task of tasks) {
        const child = await this.#measure(task);
        if (child) children.set(keyOf(task.engine, task.threads), child);
      }
      this.#noteLoad();
      process.stderr.write('  by turns\n');
      await measureTurns(
        (engine, threads, job) => this.#ask(children, keyOf(engine, threads), job),
        pairs,
        quick,
        (turns) => {
          this.#outcome.run.addTurns(turns);
          process.stderr.write(`  ${turns.name} ${turns.of.map((value, i) => (value / turns.over[i]!).toPrecision(3)).join(' ')}\n`);
          this.#save();
        },
      );
    } finally {
      for (const [engine, child] of children) await this.#stop(engine, child);
    }
  }

  /** An engine that fails is not asked again. */
  async #ask(children: Map<string, Child>, engine: string, job: EngineJob): Promise<number | null> {
    try {
      return (await children.get(engine)?.ask(job)) ?? null;
    } catch (error) {
      this.#outcome.skipped[`${engine}, by turns`] = (error as Error).message;
      await this.#stop(engine, children.get(engine)!);
      children.delete(engine);
      return null;
    }
  }

  /** The process of an engine that has measured all its figures, or null when it cannot. */
  async #measure({ engine, threads, script, args, skip }: Task): Promise<Child | null> {
    const { run, facts, skipped } = this.#outcome;
    if (skip) {
      skipped[keyOf(engine, threads)] = skip;
      return null;
    }
    this.#noteLoad();
    let child: Child | null = null;
    try {
      child = await Child.start(script, args, (message) => {
        if (message.kind === 'measurement') run.add(message);
        else if (message.kind === 'fact') facts[`${message.engine}: ${message.name}`] = message.value;
        else if (message.kind === 'skipped') skipped[message.engine] = message.reason;
      });
      await child.ask({ name: 'suite' });
      return child;
    } catch (error) {
      skipped[keyOf(engine, threads)] = (error as Error).message;
      await this.#stop(engine, child);
      return null;
    } finally {
      this.#save();
    }
  }

  /** Its figures stay, however it ends. */
  async #stop(engine: string, child: Child | null): Promise<void> {
    await child?.stop().catch((error: Error) => {
      this.#outcome.skipped[engine] ??= error.message;
    });
  }

  #noteLoad(): void {
    const { facts } = this.#outcome;
    const load = loadavg()[0]!;
    if (load > 1.5) process.stderr.write(`The machine is busy (load ${load.toFixed(1)}): the figures that follow are not worth much.\n`);
    facts['highest load before a measurement'] = Math.max(load, Number(facts['highest load before a measurement'] ?? 0));
  }
}

const keyOf = (engine: string, threads: number): string => `${engine}, ${threads} thread${threads > 1 ? 's' : ''}`;

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
    turns: run.turns.map((turns) => ({ ...turns, ...run.compared(turns.name)! })),
    measurements: run.all.map((measurement) => ({ ...measurement, ...spread(measurement.samples), samples: measurement.samples })),
  };
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

/** Assembles read.wat, which the Worker imports, and for memory that threads share. */
function buildReader(): void {
  const folder = join(ROOT, 'bench/engine');
  mkdirSync(join(folder, 'dist'), { recursive: true });
  const assembler = join(ROOT, 'node_modules/binaryen/bin/wasm-as');
  const text = readFileSync(join(folder, 'read.wat'), 'utf8');
  const assemble = (name: string, source: string, ...features: string[]) => {
    const path = join(folder, 'dist', name);
    writeFileSync(`${path}.wat`, source);
    execFileSync(process.execPath, [assembler, `${path}.wat`, '-o', `${path}.wasm`, '--enable-simd', ...features]);
  };
  assemble('read', text);
  assemble('read-threads', text.replace('(memory 1 65536)', '(memory 1 65536 shared)'), '--enable-threads');
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
      pairs: { type: 'string' },
      rounds: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const { quick } = values;
  const count = (name: 'reps' | 'pairs' | 'rounds', fallback: number) =>
    values[name] === undefined ? fallback : numberOption(name, values[name], { min: 1, whole: true });
  const settings = { quick, reps: count('reps', quick ? 3 : 5), pairs: count('pairs', quick ? 5 : 9) };
  const rounds = count('rounds', 1);
  buildReader();
  const gguf = benchGguf(values.model === undefined ? null : fileOption('model', values.model));
  const on = machine();
  console.log(describeMachine(on));
  if (values.profile) {
    await (await import('./engine/profile.ts')).profile(await benchPack(gguf, 'q4_0'), settings.reps, values.json ?? null);
    return;
  }
  const outcome: Outcome = { run: new Measurements(), facts: { 'CPU features': cpuFeatures() ?? 'unknown' }, skipped: {} };
  const both = !values.quick && values.model === undefined;
  const smollm2 = both ? fetchedSmollm2() : null;
  if (both && !smollm2) outcome.skipped['SmolLM2-135M'] = 'it is not there: run npm run fetch:smollm2';
  const sizes: Record<string, number> = { gguf: statSync(gguf).size, pack: folderBytes(await benchPack(gguf, 'q4_0')) };
  const save = () => values.json && writeReport(values.json, outcome, sizes, settings);
  const runner = new Runner(outcome, () => void save());
  for (let round = 0; round < rounds; round++) {
    await runner.all(await slowTasks(MODEL, gguf, settings));
    if (smollm2) await runner.all(await slowTasks('smollm2', smollm2, settings));
    await runner.byTurns(await fastTasks(MODEL, gguf, settings), settings);
    if (smollm2) await runner.all(await fastTasks('smollm2', smollm2, settings));
  }
  print(outcome, sizes, settings);
}

function print({ run: measured, facts, skipped }: Outcome, sizes: Record<string, number>, settings: Settings): void {
  for (const model of new Set(measured.all.map((measurement) => measurement.model))) {
    console.log(`\nTokens per second (medians of ${settings.reps}; ± half of slowest to fastest)\n${engineTable(measured, model)}\n`);
    console.log(otherFigures(measured, model));
  }
  console.log(`\n${ratioTable(ratios(measured))}\n\n${otherTurns(measured)}`);
  for (const [name, bytes] of Object.entries(sizes)) console.log(`${name}: ${(bytes / 1e6).toFixed(1)} MB`);
  for (const [name, value] of Object.entries(facts)) console.log(`${name}: ${value}`);
  for (const [name, reason] of Object.entries(skipped)) console.log(`Skipped ${name}: ${reason}`);
}
