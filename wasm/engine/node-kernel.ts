import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { instantiateKernel, type KernelModules } from './kernel.ts';
import { CHECK_PAGES, productBits, sameBits } from './wide-check.ts';

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
  const wide = joinsInstructions();
  const relaxed = read(`relaxed${suffix}`);
  return {
    relaxed: WebAssembly.validate(relaxed) ? new WebAssembly.Module(relaxed) : null,
    simd: new WebAssembly.Module(read(`simd${suffix}`)),
    wide,
  };
}

let joins: boolean | null = null;

/**
 * Whether V8 joins two 128-bit instructions to one of 256 bits, which it does only when told to, for what is compiled from then on in all threads of the process
 * (docs/decisions/0031-256-bits-in-node.md): on x64, in the version that our tests have seen, that of Node 24, and where products then have the bits they had before. On a processor without AVX2 the
 * wide products are a little slower than the usual ones.
 */
function joinsInstructions(): boolean {
  const known = process.arch === 'x64' && process.versions.v8.startsWith('13.6.') && process.env.NEARSIDE_EDGE_WIDE !== '0';
  joins ??= known && keepsBits(read('relaxed'));
  return joins;
}

/** Sets the flag, and takes it back if products differ: those compiled without it, and the wide ones compiled with it and optimised at once. */
function keepsBits(relaxed: Uint8Array): boolean {
  if (!WebAssembly.validate(relaxed)) return false;
  const before = bitsOf(relaxed, 0, false);
  setFlagsFromString('--experimental-wasm-revectorize');
  setFlagsFromString('--no-liftoff');
  try {
    if (sameBits(bitsOf(relaxed, 1, true), before)) return true;
  } catch {
    // A trap is a difference, too.
  } finally {
    setFlagsFromString('--liftoff');
  }
  setFlagsFromString('--no-experimental-wasm-revectorize');
  return false;
}

/** By a module of its own, which a custom section makes of the same code: V8 has one compiled code for modules of the same bytes, and one run must not use what another has compiled. */
function bitsOf(relaxed: Uint8Array, run: number, wide: boolean): Int32Array {
  const memory = new WebAssembly.Memory({ initial: CHECK_PAGES });
  const module = new WebAssembly.Module(Buffer.concat([relaxed, Uint8Array.of(0, 2, 1, 48 + run)]));
  return productBits(instantiateKernel(module, memory), memory, wide);
}
