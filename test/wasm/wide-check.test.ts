import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { expect, it } from 'vitest';
import { instantiateKernel, type Kernel } from '../../wasm/engine/kernel.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { CHECK_PAGES, productBits, sameBits } from '../../wasm/engine/wide-check.ts';

// The check of V8 itself is made here; after it the kernels are compiled optimised at once.
nodeKernels();
setFlagsFromString('--no-liftoff');

function emptyKernel(): { kernel: Kernel; memory: WebAssembly.Memory } {
  const memory = new WebAssembly.Memory({ initial: CHECK_PAGES });
  return { kernel: instantiateKernel(nodeKernels().relaxed!, memory), memory };
}

it('wide products have the bits of the usual ones, and no two tokens or rows the same', () => {
  const { kernel, memory } = emptyKernel();
  const usual = productBits(kernel, memory, false);
  expect(productBits(kernel, memory, true)).toEqual(usual);
  // Those of one and of two tokens are the first of four.
  expect(new Set(usual).size).toBe(4 * 40);
});

it.each([0, 39, 40 + 79, 120 + 159])('notices a compiler that changes the last bit of product %i', (wrong) => {
  const { kernel, memory } = emptyKernel();
  let seen = 0;
  const lying: Kernel = {
    ...kernel,
    product: (matrix, y) => {
      kernel.product(matrix, y);
      const rows = 40 * [1, 2, 4][seen]!;
      const before = [0, 40, 120][seen++]!;
      if (wrong >= before && wrong < before + rows) new Int32Array(memory.buffer, y)[wrong - before]! ^= 1;
    },
  };
  const usual = productBits(kernel, memory, false);
  expect(sameBits(productBits(kernel, memory, true), usual)).toBe(true);
  expect(sameBits(productBits(lying, memory, true), usual)).toBe(false);
});

it.each([
  ['', process.arch === 'x64'],
  ['0', false],
])('NEARSIDE_EDGE_WIDE=%s: in use on x64: %s', (setting, expected) => {
  const module = fileURLToPath(new URL('../../wasm/engine/node-kernel.ts', import.meta.url));
  const program = `console.log((await import(${JSON.stringify(module)})).nodeKernels().wide)`;
  const options = { env: { ...process.env, NEARSIDE_EDGE_WIDE: setting }, encoding: 'utf8' } as const;
  expect(execFileSync(process.execPath, ['--input-type=module', '-e', program], options).trim()).toBe(String(expected));
});
