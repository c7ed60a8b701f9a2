import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type Pattern, ReadBandwidth } from './read-bandwidth.ts';

export const READ_MODULE = new URL('dist/read.wasm', import.meta.url);

const readers: ReturnType<typeof startReader>[] = [];
let local: ReadBandwidth | null = null;

/** GB/s that so many threads read together, each from memory of its own: the better of the two patterns. */
export async function readTogether(threads: number): Promise<number> {
  const patterns: Pattern[] = ['one', 'four'];
  const rates: number[] = [];
  for (const pattern of patterns) rates.push(threads === 1 ? readHere(pattern) : await readInThreads(pattern, threads));
  return Math.max(...rates);
}

function readHere(pattern: Pattern): number {
  local ??= new ReadBandwidth(new WebAssembly.Module(readFileSync(READ_MODULE)), () => performance.now());
  return local.measure(pattern);
}

/** Every thread reads as much; what they reach together is the sum of their rates while all run. */
async function readInThreads(pattern: Pattern, threads: number): Promise<number> {
  while (readers.length < threads) readers.push(startReader());
  await Promise.all(readers.map((reader) => reader('one')));
  const rates = await Promise.all(readers.map((reader) => reader(pattern)));
  return rates.reduce((sum, rate) => sum + rate, 0);
}

function startReader(): (pattern: Pattern) => Promise<number> {
  const worker = new Worker(new URL('read-thread.ts', import.meta.url));
  worker.unref();
  return (pattern) =>
    new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.ref();
      worker.postMessage(pattern);
    }).then((rate) => {
      worker.removeAllListeners('error').unref();
      return rate as number;
    });
}
