import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { memoryToRead, ReadBandwidth } from './read-bandwidth.ts';
import type { ReadThreadData } from './read-thread.ts';

const moduleOf = (name: string) => new WebAssembly.Module(readFileSync(new URL(`dist/${name}.wasm`, import.meta.url)));

interface Run {
  bytes: number;
  started: number;
  ended: number;
}

/** Threads that read `bytes` bytes together, each its share. One thread is the caller's. */
export class ReadingThreads {
  readonly #runs: (() => Promise<Run>)[];

  constructor(bytes: number, threads: number) {
    if (threads === 1) {
      const reader = new ReadBandwidth(moduleOf('read'), memoryToRead(bytes, false));
      this.#runs = [
        async () => {
          const started = performance.now();
          return { bytes: reader.run(), started, ended: performance.now() };
        },
      ];
      return;
    }
    const data = {
      module: moduleOf('read-threads'),
      memory: memoryToRead(bytes, true),
      threads,
      ready: new Int32Array(new SharedArrayBuffer(4)),
    };
    this.#runs = Array.from({ length: threads }, (_, member) => startReader({ ...data, member }));
  }

  /** GB/s, from when the first begins until the last has ended. */
  async measure(): Promise<number> {
    const runs = await Promise.all(this.#runs.map((run) => run()));
    const ms = Math.max(...runs.map(({ ended }) => ended)) - Math.min(...runs.map(({ started }) => started));
    return runs.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6 / ms;
  }
}

function startReader(workerData: ReadThreadData): () => Promise<Run> {
  const worker = new Worker(new URL('read-thread.ts', import.meta.url), { workerData });
  worker.unref();
  return () =>
    new Promise<Run>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.ref();
      worker.postMessage(null);
    }).finally(() => void worker.removeAllListeners('error').unref());
}
