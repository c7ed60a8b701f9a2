import { DurableObject } from 'cloudflare:workers';
import { openPack } from '../../../models/pack/reader.ts';
import { ChatTemplate } from '../../../models/template/chat-template.ts';
import { Tokenizer } from '../../../models/tokenizer/tokenizer.ts';
import { loadStage } from '../../../wasm/engine/loader.ts';
import type { LocalStage } from '../../../wasm/engine/local-stage.ts';
import relaxed from '../../../wasm/kernel/build/relaxed.wasm';
import simd from '../../../wasm/kernel/build/simd.wasm';
import { createEventLoop } from '../../../worker/edge/event-loop.ts';
import { R2Storage } from '../../../worker/edge/r2-storage.ts';
import read from '../dist/read.wasm';
import { memoryToRead, ReadBandwidth } from '../read-bandwidth.ts';
import { type Job, runJob, Workload } from '../workload.ts';

interface Env {
  MODELS: R2Bucket;
  BENCH: DurableObjectNamespace;
}

/** Everything the edge model's object holds, for memory to be what it is there. */
interface Loaded {
  stage: LocalStage;
  workload: Workload;
  tokenizer: Tokenizer | null;
  template: ChatTemplate | null;
}

/** Locally this clock ticks while code runs; the benchmark is never deployed. */
const now = (): number => performance.now();

/** The engine as worker/edge/engine.ts puts it together, run by jobs instead of chats. */
export class Bench extends DurableObject<Env> {
  #loaded: Loaded | null = null;
  #reader: ReadBandwidth | null = null;

  override async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/load') return Response.json(await this.#load(searchParams.get('prefix')!));
    if (pathname === '/ping') return Response.json(0);
    if (pathname === '/read') return Response.json(this.#read(Number(searchParams.get('bytes'))));
    const { stage, workload } = this.#loaded!;
    if (pathname === '/memory') return Response.json(await stage.memory());
    if (pathname === '/run') return Response.json(await runJob(workload, (await request.json()) as Job));
    if (pathname === '/hold') return Response.json(await this.#longestHold(workload, (await request.json()) as Job | null));
    return new Response(null, { status: 404 });
  }

  /** Seconds until the engine is ready. */
  async #load(prefix: string): Promise<number> {
    const started = now();
    const pack = await openPack(new R2Storage(this.env.MODELS, prefix));
    const { manifest } = pack;
    const tokenizer = manifest.tokenizer ? Tokenizer.load(await pack.file(manifest.tokenizer)) : null;
    const template = tokenizer && manifest.chatTemplate ? new ChatTemplate(manifest.chatTemplate, tokenizer) : null;
    const { yieldNow } = createEventLoop(now);
    const stage = await loadStage({ modules: { relaxed, simd }, storage: pack.storage, manifest, yieldNow });
    this.#loaded = { stage, workload: new Workload(stage, manifest, now), tokenizer, template };
    return (now() - started) / 1000;
  }

  /** GB/s. */
  #read(bytes: number): number {
    this.#reader ??= new ReadBandwidth(read, memoryToRead(bytes, false));
    const started = now();
    return this.#reader.run() / 1e6 / (now() - started);
  }

  /** Longest time, in milliseconds, that a timer of one millisecond was kept waiting while the job ran; without a job, in half a second of nothing. */
  async #longestHold(workload: Workload, job: Job | null): Promise<number> {
    let longest = 0;
    let running = true;
    const ticker = (async () => {
      for (let last = now(); running; ) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        const at = now();
        longest = Math.max(longest, at - last - 1);
        last = at;
      }
    })();
    if (job) await runJob(workload, job);
    else await new Promise((resolve) => setTimeout(resolve, 500));
    running = false;
    await ticker;
    return longest;
  }
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return env.BENCH.get(env.BENCH.idFromName('bench')).fetch(request);
  },
} satisfies ExportedHandler<Env>;
