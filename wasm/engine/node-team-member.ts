/** A thread of node-team.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { instantiateKernel } from './kernel.ts';
import { FAILED, type MemberData, type ThreadKernel } from './node-team.ts';

const { module, memory, record, threads, member, looks } = workerData as MemberData;
const kernel = instantiateKernel(module, memory) as ThreadKernel;
kernel.joinTeam(record, threads, member, looks);
parentPort!.postMessage('ready');
try {
  kernel.serve();
} finally {
  // Whoever waits at the barrier must not wait for this thread.
  const words = new Int32Array(memory.buffer);
  Atomics.store(words, (record + FAILED) / 4, 1);
  Atomics.notify(words, record / 4);
}
