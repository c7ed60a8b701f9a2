import { readFileSync } from 'node:fs';
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

function compiled(suffix: string): KernelModules {
  const relaxed = read(`relaxed${suffix}`);
  return {
    relaxed: WebAssembly.validate(relaxed) ? new WebAssembly.Module(relaxed) : null,
    simd: new WebAssembly.Module(read(`simd${suffix}`)),
  };
}
