/** Child process: our engine in Node. */
import { setImmediate } from 'node:timers/promises';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { loadThreadedStage } from '../../wasm/engine/node-team.ts';
import { createEventLoop } from '../../worker/edge/event-loop.ts';
import { NODE } from './ratios.ts';
import { ReadingThreads } from './read-together.ts';
import { Report, repeat } from './report.ts';
import { serve } from './serve.ts';
import { measureStage } from './suite.ts';
import { runJob, Workload, weightBytesPerToken } from './workload.ts';

interface Arguments {
  pack: string;
  model: string;
  threads: number;
  quick: boolean;
  reps: number;
}

const { pack: folder, model, threads, quick, reps } = JSON.parse(process.argv[2]!) as Arguments;
const report = new Report(NODE, model, threads);
const now = () => performance.now();
const started = now();
const { manifest, storage } = await openPack(new FolderStorage(folder));
// As npm run edge-node shares its event loop.
const { yieldNow } = createEventLoop(now, () => setImmediate());
const options = { storage, manifest, contextLength: 4096, yieldNow };
const stage = threads === 1 ? await loadStage({ modules: nodeKernels(), ...options }) : await loadThreadedStage(options, threads);
report.measured('load_s', 'folder', [(now() - started) / 1000]);
const workload = new Workload(stage, manifest, now);
const bytes = weightBytesPerToken(manifest);
let threadsThatRead: ReadingThreads | null = null;
/** GB/s. */
function read(): Promise<number> {
  threadsThatRead ??= new ReadingThreads(bytes, threads);
  return threadsThatRead.measure();
}

serve({
  async suite() {
    await measureStage(report, (job) => runJob(workload, job), { quick, reps });
    report.measured('rss_mb', 'peak', [process.resourceUsage().maxRSS / 1024]);
    if (!quick) report.measured('read_gb_s', 'weights', await repeat(reps, read));
  },
  run: async (job) => (job.name === 'read' ? ((await read()) * 1e9) / bytes : runJob(workload, job)),
});
