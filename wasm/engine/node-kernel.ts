import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { KernelModules } from './kernel.ts';

const read = (name: string): Uint8Array => readFileSync(new URL(`../kernel/build/${name}.wasm`, import.meta.url));

/** Both builds of the kernels for Node; `relaxed` is null where its engine lacks relaxed SIMD. */
export function nodeKernels(): KernelModules {
  return compiled('');
}

/** The same for several threads (node-team.ts). */
export function nodeThreadKernels(): KernelModules {
  return compiled('-threads');
}

/**
 * Whether V8 joins two 128-bit instructions to one of 256 bits, which it does only when told to (docs/decisions/0031-256-bits-in-node.md): in the version that our tests have seen, that of Node 24. On a
 * processor without AVX2 the wide products are about as fast as the usual ones.
 */
const joinsInstructions = process.arch === 'x64' && process.versions.v8.startsWith('13.6.') && process.env.NEARSIDE_EDGE_WIDE !== '0';

function compiled(suffix: string): KernelModules {
  // For what is compiled from now on, in all threads of the process.
  if (joinsInstructions) setFlagsFromString('--experimental-wasm-revectorize');
  const relaxed = read(`relaxed${suffix}`);
  return {
    relaxed: WebAssembly.validate(relaxed) ? new WebAssembly.Module(relaxed) : null,
    simd: new WebAssembly.Module(read(`simd${suffix}`)),
    wide: joinsInstructions,
  };
}
