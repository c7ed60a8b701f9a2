import { setFlagsFromString } from 'node:v8';
import { instantiateKernel, type Kernel } from '../../wasm/engine/kernel.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';

// Optimised code at once, as that is what is to be tested: with 256-bit instructions where V8 makes them.
// After the kernels' own check of V8, which ends with liftoff on.
nodeKernels();
setFlagsFromString('--no-liftoff');

export type Build = 'relaxed' | 'simd';
export const BUILDS: Build[] = ['relaxed', 'simd'];

export interface KernelMemory {
  kernel: Kernel;
  memory: WebAssembly.Memory;
  /** Copies values into memory and answers their address. */
  place(values: Float32Array | Uint8Array | Uint32Array): number;
  /** Room for so many bytes. */
  room(bytes: number): number;
  floats(at: number, count: number): Float32Array;
}

/** A kernel module on a memory of its own, for tests that call kernels with chosen inputs. */
export function kernelMemory(build: Build, megabytes = 16): KernelMemory {
  const memory = new WebAssembly.Memory({ initial: megabytes * 16 });
  const kernel = instantiateKernel(nodeKernels()[build]!, memory);
  let top = 65536;
  const room = (bytes: number): number => {
    const at = top;
    top += Math.ceil(bytes / 64) * 64;
    if (top > memory.buffer.byteLength) throw new Error('The test needs a larger memory.');
    return at;
  };
  const place = (values: Float32Array | Uint8Array | Uint32Array): number => {
    const at = room(values.byteLength);
    new Uint8Array(memory.buffer, at, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return at;
  };
  return { kernel, memory, place, room, floats: (at, count) => new Float32Array(memory.buffer.slice(at, at + count * 4)) };
}
