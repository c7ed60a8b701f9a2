/** Child process: our engine in workerd, in a Durable Object as in worker/edge, its pack in local R2. */
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { copyPackToR2 } from '../../scripts/dev/local-r2.ts';
import { openInspector } from './inspector.ts';
import { WORKERD } from './ratios.ts';
import { Report, repeat } from './report.ts';
import { serve } from './serve.ts';
import { CACHE_HIT, DECODE_TOKENS, decodeAt, measureStage, SHORT } from './suite.ts';
import { type BenchWorker, bundleWorker, STATE, startWorker } from './workerd.ts';
import { type Job, weightBytesPerToken } from './workload.ts';

interface Arguments {
  pack: string;
  model: string;
  quick: boolean;
  reps: number;
}

const CONFIG = 'bench/engine/worker/wrangler.toml';
/** Kinds of requests that may hold the event loop; null is none, the clock's own jitter. */
const REQUESTS: [string, Job | null][] = [
  ['idle', null],
  ['prompt of 256', { name: 'ttft', tokens: 256 }],
  // After the prompt that decoding at 2048 has left a snapshot of.
  ['32 more after 2040', { name: 'prefixHit', prefix: 2048 - DECODE_TOKENS / 2, tokens: 32 }],
  ['decode at 2048', decodeAt(2048)],
  ['4 sessions', decodeAt(64, 4, 4)],
];

const { pack: folder, model, quick, reps } = JSON.parse(process.argv[2]!) as Arguments;
const report = new Report(WORKERD, model, 1);

async function started(bundle: string, prefix: string): Promise<{ worker: BenchWorker; seconds: number }> {
  const worker = await startWorker(bundle);
  // An isolate that is up but has loaded nothing.
  await worker.ask('/ping');
  const seconds = await worker.ask<number>(`/load?prefix=${prefix}`);
  return { worker, seconds };
}

/** Each load in a process of its own; the first one, which may find the files out of the page cache, is not counted. Answers the last one's Worker. */
async function measureLoad(bundle: string, prefix: string): Promise<BenchWorker> {
  const seconds: number[] = [];
  for (let i = 0; ; i++) {
    const loaded = await started(bundle, prefix);
    if (i > 0 || quick) seconds.push(loaded.seconds);
    if (quick || seconds.length === reps) {
      report.measured('load_s', 'R2', seconds);
      return loaded.worker;
    }
    await loaded.worker.stop();
  }
}

/** WebAssembly memory and JavaScript heap (objects and buffers) with one open session of 512 tokens. */
async function measureMemory(worker: BenchWorker, run: (job: Job) => Promise<number>): Promise<void> {
  await run({ name: 'hold', tokens: 512 });
  const inspector = await openInspector(await worker.inspectorUrl(), 'bench');
  const heap = await repeat(reps, async () => {
    const usage = await inspector.send<{ usedSize: number; backingStorageSize?: number }>('Runtime.getHeapUsage');
    return usage.usedSize + (usage.backingStorageSize ?? 0);
  });
  inspector.close();
  report.measured('heap_bytes', '512-token session', heap);
  const { wasmBytes, weightBytes } = await worker.ask<{ wasmBytes: number; weightBytes: number }>('/memory');
  report.measured('wasm_bytes', '512-token session', [wasmBytes]);
  report.measured('weight_bytes', 'pack', [weightBytes]);
  await run({ name: 'release' });
}

const { manifest } = await openPack(new FolderStorage(folder));
const onCopy = (megabytes: number) => void process.stderr.write(`  copying ${megabytes.toFixed(0)} MB into local R2, this once\n`);
const { prefix } = await copyPackToR2(folder, 'bench/engine/worker/bucket.toml', STATE, onCopy);
const worker = await measureLoad(bundleWorker(CONFIG), prefix);
const bytes = weightBytesPerToken(manifest);
const run = (job: Job) => worker.ask<number>('/run', job);
/** GB/s. */
const read = () => worker.ask<number>(`/read?bytes=${bytes}`);

serve({
  async suite() {
    report.measured('weight_read_bytes', 'token', [bytes]);
    if (!quick) await measureMemory(worker, run);
    await measureStage(report, run, { quick, reps });
    report.measured('read_gb_s', 'weights', await repeat(reps, read));
    if (quick) return;
    report.measured('ttft_ms', 20, await repeat(reps, () => run(SHORT)));
    report.measured('prefix_hit_ttft_ms', '500 + 20', await repeat(reps, () => run(CACHE_HIT)));
    report.measured('restore_ttft_ms', '500 + 20', await repeat(reps, () => run({ name: 'prefixHit', prefix: 500, tokens: 20 })));
    for (const [at, job] of REQUESTS) report.measured('hold_ms', at, await repeat(reps, () => worker.ask<number>('/hold', job)));
  },
  run: async (job) => (job.name === 'read' ? ((await read()) * 1e9) / bytes : run(job)),
  stop: () => worker.stop(),
});
