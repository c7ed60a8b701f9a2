/** A thread of read-together.ts: answers each message with the bytes it has read, and when it began and ended. */
import { parentPort, workerData } from 'node:worker_threads';
import { ReadBandwidth } from './read-bandwidth.ts';

export interface ReadThreadData {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  threads: number;
  member: number;
  /** How often threads have been ready to begin. */
  ready: Int32Array<SharedArrayBuffer>;
}

/** Milliseconds, of the same clock in all threads; performance.now() has one of each thread. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const { module, memory, threads, member, ready } = workerData as ReadThreadData;
const reader = new ReadBandwidth(module, memory, threads, member);
let runs = 0;
parentPort!.on('message', () => {
  // All begin at once: what one reads while the others do not is more than its share.
  runs += 1;
  Atomics.add(ready, 0, 1);
  while (Atomics.load(ready, 0) < runs * threads);
  const started = now();
  const read = reader.run();
  parentPort!.postMessage({ bytes: read, started, ended: now() });
});
