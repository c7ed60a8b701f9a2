/** Binaryen's passes that clear away what inlined functions leave behind: blocks, and jumps to their end. */
const PASSES = ['remove-unused-brs', 'remove-unused-names', 'merge-blocks', 'vacuum'];

/**
 * What AssemblyScript compiles wasm/kernel with.
 *
 * Without `-O` on purpose: the order of the statements in the hot loops is the order of the instructions V8 gets, and Binaryen's optimiser rearranges it into
 * code that runs 1.3 to 2 times slower. But blocks go: a compiler that joins instructions (wasm/kernel/product-q4-wide.ts) does so only between two jumps.
 */
export const KERNEL_OPTIONS = [
  ...['--runtime', 'stub', '--importMemory', '--noExportMemory', '--use', 'abort='],
  // 112: functions with v128 parameters cannot be called from JavaScript. They are not.
  ...['--disableWarning', '112', '--runPasses', PASSES.join()],
];
