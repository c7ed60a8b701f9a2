import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Arena } from './arena.ts';
import { chooseKernel, instantiateKernel, type Kernel, type KernelModules, type KernelTeam } from './kernel.ts';
import { type LoadOptions, loadStage } from './loader.ts';
import type { LocalStage } from './local-stage.ts';
import { nodeThreadKernels } from './node-kernel.ts';

/** A kernel module of the builds with threads (wasm/kernel/threads.ts, team.ts). */
export interface ThreadKernel extends Kernel {
  /** Makes the instance one of `threads` that share the record at `record`. */
  joinTeam(record: number, threads: number, member: number, looks: number): void;
  /** Does its share of the first member's jobs, for ever. */
  serve(): void;
}

/** What a thread is started with. */
export interface MemberData {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  record: number;
  threads: number;
  member: number;
  looks: number;
}

/** Size of a team's record, and where a member says that the team has failed. */
const recordBytes = (threads: number): number => 384 + 128 * threads;
export const FAILED = 192;

/**
 * How often threads that wait for each other look before they sleep, which adds up to 200 microseconds: to wake up takes about half of that, and parts of a layer take less.
 * Where some thread always waits for a processor, looking only keeps it from one.
 */
const looksOf = (threads: number): number => (threads <= availableParallelism() ? 25_000 : 0);

/** What the threads share. Everything else is done by the caller's thread alone. */
const JOBS = ['setProductScratch', 'setWideProducts', 'input', 'product', 'productRows', 'mixer', 'mlp', 'finalNorm'] as const;

/** Loads a stage as `loadStage` does, to compute with `threads` threads, of which the caller's is one. They end with `stage.end()`, or when nobody holds the stage any more. */
export async function loadThreadedStage(
  options: Omit<LoadOptions, 'modules' | 'team'> & { modules?: KernelModules },
  threads: number,
): Promise<LocalStage> {
  const modules = options.modules ?? nodeThreadKernels();
  const team = new NodeTeam(chooseKernel(modules), threads);
  try {
    const stage = await loadStage({ ...options, modules, team });
    dropped.register(stage, team);
    return stage;
  } catch (error) {
    await team.close();
    throw error;
  }
}

const dropped = new FinalizationRegistry<NodeTeam>((team) => team.close());

/**
 * Worker threads of Node beside the caller's. They sleep while there is nothing to compute, and do not keep the process alive. Once one has died, for whatever reason, the
 * kernels throw: its share may be missing from the memory.
 */
export class NodeTeam implements KernelTeam {
  readonly threads: number;
  readonly #module: WebAssembly.Module;
  readonly workers: Worker[] = [];
  #failure: Error | null = null;

  /** @param module of the builds for threads */
  constructor(module: WebAssembly.Module, threads: number) {
    this.threads = threads;
    this.#module = module;
  }

  async start(arena: Arena): Promise<Kernel> {
    const { threads } = this;
    const record = arena.allocate(recordBytes(threads));
    const kernel = instantiateKernel(this.#module, arena.memory) as ThreadKernel;
    const data = { module: this.#module, memory: arena.memory, record, threads, looks: looksOf(threads) };
    kernel.joinTeam(record, threads, 0, data.looks);
    await Promise.all(Array.from({ length: threads - 1 }, (_, i) => this.#startWorker({ ...data, member: i + 1 })));
    return this.#guarded(kernel);
  }

  async close(): Promise<void> {
    this.#failure ??= new Error('The stage has ended.');
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  /** Resolves when the thread is there to take jobs. */
  #startWorker(data: MemberData): Promise<void> {
    const worker = new Worker(new URL('node-team-member.ts', import.meta.url), { workerData: data });
    this.workers.push(worker);
    return new Promise((resolve, reject) => {
      worker.once('message', () => {
        worker.unref();
        resolve();
      });
      const died = (cause: unknown) => reject(this.#fail(cause));
      worker.once('error', died);
      worker.once('exit', (code) => died(new Error(`Thread ${data.member} has ended with code ${code}.`)));
    });
  }

  #fail(cause: unknown): Error {
    this.#failure ??= new Error('A thread of the engine has died; load the model again.', { cause });
    this.close();
    return this.#failure;
  }

  #guarded(kernel: ThreadKernel): Kernel {
    const guard =
      (job: (...args: number[]) => void) =>
      (...args: number[]) => {
        if (this.#failure) throw this.#failure;
        try {
          job(...args);
        } catch (error) {
          throw this.#fail(error);
        }
      };
    const jobs = JOBS.map((name) => [name, guard(kernel[name] as (...args: number[]) => void)] as const);
    return { ...kernel, ...Object.fromEntries(jobs) };
  }
}
