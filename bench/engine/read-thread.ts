/** A thread of read-together.ts: answers each pattern with the GB/s it reads. */
import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { type Pattern, ReadBandwidth } from './read-bandwidth.ts';

const module = new WebAssembly.Module(readFileSync(new URL('dist/read.wasm', import.meta.url)));
const reader = new ReadBandwidth(module, () => performance.now());
parentPort!.on('message', (pattern: Pattern) => parentPort!.postMessage(reader.measure(pattern)));
