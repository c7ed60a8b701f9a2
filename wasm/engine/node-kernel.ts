import { readFileSync } from 'node:fs';
import type { KernelModules } from './kernel.ts';

const read = (name: string): Uint8Array => readFileSync(new URL(`../kernel/build/${name}.wasm`, import.meta.url));

/** Both builds of the kernels for Node; `relaxed` is null where its engine lacks relaxed SIMD. */
export function nodeKernels(): KernelModules {
  const relaxed = read('relaxed');
  return {
    relaxed: WebAssembly.validate(relaxed) ? new WebAssembly.Module(relaxed) : null,
    simd: new WebAssembly.Module(read('simd')),
  };
}
