/** A thread of read-together.ts: answers each message with the bytes it has read, and when it began and ended. */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { ReadBandwidth } from './read-bandwidth.ts';

export interface ReadThreadData {
  bytes: number;
  threads: number;
  /** How often threads have been ready to begin. */
  ready: Int32Array<SharedArrayBuffer>;
}

/** Clock of all threads, milliseconds. */
const now = () => performance.timeOrigin + performance.now();

const { bytes, threads, ready } = workerData as ReadThreadData;
const module = new WebAssembly.Module(readFileSync(new URL('dist/read.wasm', import.meta.url)));
const reader = new ReadBandwidth(module, bytes, threads);
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
