import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import { openPack } from '../../models/pack/reader.ts';
import { copyPackToR2 } from '../../scripts/dev/local-r2.ts';
import { KERNEL_OPTIONS } from '../../scripts/kernel-options.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { type CpuProfile, functionNames, type SelfTime, selfTimes, shortName } from './cpu-profile.ts';
import { openInspector } from './inspector.ts';
import { NODE, WORKERD } from './ratios.ts';
import { grid } from './table.ts';
import { BENCH_CACHE, bundleWorker, ROOT, STATE, startWorker } from './workerd.ts';
import { type Job, runJob, Workload } from './workload.ts';

/** What is profiled, and for how many tokens. */
const JOBS: { title: string; job: Job; tokens: number; head: number }[] = [
  { title: 'decode at 64', job: { name: 'decode', context: 64, tokens: 16, sessions: 1 }, tokens: 16, head: 16 },
  { title: 'decode at 2048', job: { name: 'decode', context: 2048, tokens: 8, sessions: 1 }, tokens: 8, head: 8 },
  { title: 'decode at 64, 4 sessions', job: { name: 'decode', context: 64, tokens: 8, sessions: 4 }, tokens: 32, head: 32 },
  { title: 'prefill of 64', job: { name: 'prefill', tokens: 64 }, tokens: 64, head: 0 },
];

/** Exports of the kernel module that the engine calls. */
const SECTIONS = new Set(['mixer', 'mlp', 'finalNorm', 'productRows', 'embedRow', 'logSumExp', 'largestK', 'checksum']);

const INTERVAL_MICROSECONDS = 200;

/** A running engine and its profiler. */
interface Host {
  run(job: Job): Promise<number>;
  send(method: string, params?: object): Promise<unknown>;
  stop(): Promise<void>;
}

/** Names of the kernel's functions. A build with names has the same functions in the same order, and the same code. */
function kernelNames(): (name: string) => string {
  const compiler = join(ROOT, 'node_modules/assemblyscript/bin/asc.js');
  mkdirSync(BENCH_CACHE, { recursive: true });
  const file = join(BENCH_CACHE, 'kernel-with-names.wasm');
  const options = [...KERNEL_OPTIONS, '--enable', 'simd', '--enable', 'relaxed-simd', '--debug'];
  execFileSync(process.execPath, [compiler, 'wasm/kernel/index.ts', ...options, '--outFile', file], { cwd: ROOT, stdio: 'inherit' });
  const bytes = readFileSync(file);
  const used = readFileSync(join(ROOT, 'wasm/kernel/build/relaxed.wasm'));
  if (!bytes.subarray(0, used.length).equals(used)) {
    process.stderr.write(
      'The committed kernels differ from a fresh build, so functions may carry the wrong names: npm run build:kernels\n',
    );
  }
  const names = functionNames(bytes);
  return (name) => names.get(Number(/^wasm-function\[(\d+)\]$/.exec(name)?.[1] ?? -1)) ?? name;
}

interface Cost {
  macs: number;
  bytes: number;
}

/** Multiplications and weight bytes of the matrices behind each kernel export, for one token. */
function costs({ tensors, config }: Manifest): Record<string, Cost> {
  const sum: Record<string, Cost> = { mixer: { macs: 0, bytes: 0 }, mlp: { macs: 0, bytes: 0 }, productRows: { macs: 0, bytes: 0 } };
  const head = config.tiedHead ? 'embed' : 'head';
  for (const [name, { shape, parts }] of Object.entries(tensors)) {
    if (shape.length < 2 || name.endsWith('.conv') || (name === 'embed' && head !== 'embed')) continue;
    const cost = sum[name === head ? 'productRows' : /(gate|up|down)_proj$/.test(name) ? 'mlp' : 'mixer']!;
    cost.macs += shape[0]! * shape[1]!;
    cost.bytes += parts.reduce((total, part) => total + part.bytes, 0);
  }
  return sum;
}

const isProduct = (name: string): boolean => /\/(product[^/]*|tile)\//.test(name) && shortName(name) !== 'round';

async function profileJob({ run, send }: Host, job: Job, reps: number): Promise<CpuProfile> {
  await run(job);
  await send('Profiler.start');
  for (let i = 0; i < reps; i++) await run(job);
  return ((await send('Profiler.stop')) as { profile: CpuProfile }).profile;
}

/** Rows of a table: each function's share and time per token; rates for a section's products together. `(idle)` is the wait for the event loop at yields. */
function profileTable(times: SelfTime[], tokens: number, head: number, steps: number, cost: Record<string, Cost>): string[][] {
  const total = times.reduce((sum, { ms }) => sum + ms, 0);
  const row = (section: string, name: string, ms: number, rates: string[] = []) => [
    section,
    name,
    `${((ms / total) * 100).toFixed(1)} %`,
    (ms / tokens).toFixed(3),
    ...rates,
  ];
  const rows: { ms: number; cells: string[] }[] = [];
  for (const section of Object.keys(cost)) {
    const ms = times.filter((time) => time.section === section && isProduct(time.name)).reduce((sum, time) => sum + time.ms, 0);
    const { macs, bytes } = cost[section]!;
    const done = section === 'productRows' ? head : tokens;
    if (ms > 0) rows.push({ ms, cells: row(section, 'products', ms, [rate(macs * done, ms), rate(bytes * steps, ms)]) });
  }
  for (const { section, name, ms } of times) {
    if (section !== null && cost[section] && isProduct(name)) continue;
    if (ms / total >= 0.003) rows.push({ ms, cells: row(section ?? '', name.replace(/^wasm\/kernel\//, ''), ms) });
  }
  rows.sort((a, b) => b.ms - a.ms);
  return [['in', 'function', 'share', 'ms/token', 'GMAC/s', 'GB/s'], ...rows.map(({ cells }) => cells)];
}

const rate = (amount: number, ms: number): string => (amount / ms / 1e6).toFixed(1);

async function inNode(folder: string): Promise<Host> {
  const { manifest, storage } = await openPack(new FolderStorage(folder));
  const stage = await loadStage({ modules: nodeKernels(), storage, manifest, contextLength: 4096 });
  const workload = new Workload(stage, manifest, () => performance.now());
  const session = new Session();
  session.connect();
  const send = session.post.bind(session) as (method: string, params?: object) => Promise<unknown>;
  return { run: (job) => runJob(workload, job), send, stop: async () => session.disconnect() };
}

async function inWorkerd(folder: string): Promise<Host> {
  const { prefix } = await copyPackToR2(folder, 'bench/engine/worker/bucket.toml', STATE, () => {});
  const worker = await startWorker(bundleWorker('bench/engine/worker/wrangler.toml'));
  await worker.ask(`/load?prefix=${prefix}`);
  const inspector = await openInspector(await worker.inspectorUrl(), 'bench');
  return { run: (job) => worker.ask('/run', job), send: inspector.send, stop: worker.stop };
}

/**
 * Prints where the time of decoding and prefill goes, in Node and in workerd: share and milliseconds per token of each kernel function, and multiplications
 * and weight bytes per second of the matrix products.
 */
export async function profile(folder: string, reps: number, json: string | null): Promise<void> {
  const nameOf = kernelNames();
  const { manifest } = await openPack(new FolderStorage(folder));
  const cost = costs(manifest);
  const results: object[] = [];
  const hosts = [
    [NODE, inNode],
    [WORKERD, inWorkerd],
  ] as const;
  for (const [name, start] of hosts) {
    const host = await start(folder);
    await host.send('Profiler.enable');
    await host.send('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS });
    for (const { title, job, tokens, head } of JOBS) {
      const times = selfTimes(await profileJob(host, job, reps), nameOf, SECTIONS);
      // Weights are read once for all rows of a step: every 32 tokens of a prompt, and once for all sessions.
      const steps = job.name === 'decode' ? job.tokens : tokens / 32;
      const table = profileTable(times, tokens * reps, head * reps, steps * reps, cost);
      console.log(`\n${name}, ${title}\n${grid(table)}`);
      results.push({ engine: name, title, tokens: tokens * reps, times });
    }
    await host.stop();
  }
  if (json) writeFileSync(json, `${JSON.stringify({ profile: results }, null, 2)}\n`);
  // The sessions of profilers would keep the process alive.
  process.exit(0);
}
