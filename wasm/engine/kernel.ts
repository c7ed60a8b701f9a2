import type { Arena } from './arena.ts';

/** What wasm/kernel/index.ts exports. Every pointer is a byte address in the memory the module was instantiated on. */
export interface Kernel {
  /** Checksum of bytes (models/pack/checksum.ts), as a signed 32-bit integer. */
  checksum(at: number, bytes: number): number;
  /** Scratch for products: rounded activations. `sums`: 32 or 16 bits inside of q4_0's products (same result), 0 for what suits the processor. */
  setProductScratch(quads: number, sums: 0 | 16 | 32): void;
  /** Products for a compiler that joins 128-bit instructions to 256-bit ones (same result): where they may use 256 bytes for each thread, 0 for the usual products. */
  setWideProducts(at: number): void;
  /** Names the activations of the products that follow: `rows` lines of `width` floats. */
  input(at: number, width: number, rows: number): void;
  /** y = W x of the current activations; lines of y are the matrix's rows, rounded up to 8, apart. */
  product(matrix: number, y: number): void;
  /** Rows `first`.. of the same; `first` is a multiple of 32, lines of y are `width` floats apart. */
  productRows(matrix: number, first: number, count: number, y: number, width: number): void;
  /** Writes row `id` of the token table; 0 when the table has no such row. */
  embedRow(table: number, id: number, out: number): number;
  mixer(model: number, layer: number, rows: number, count: number): void;
  mlp(model: number, layer: number, count: number): void;
  finalNorm(model: number, weight: number, count: number): void;
  /** log(sum(exp(x * scale))) of n floats. */
  logSumExp(x: number, n: number, scale: number): number;
  /** Writes indices and values of the k largest of n floats, descending; returns how many there are. */
  largestK(x: number, n: number, k: number, indices: number, values: number): number;

  /** The following are called by tests only; the layers call them inside the module. */
  causalConv(u: number, state: number, weight: number, position: number, taps: number, channels: number): void;
  /** model, state, position, rows `first` to `next` - 1, heads `head` to `headEnd` - 1. */
  deltaRule(model: number, state: number, position: number, first: number, next: number, head: number, headEnd: number): void;
  roundByNorm(x: number, n: number): number;
  storeKey(k: number, share: number, position: number, n: number): void;
  storeValue(v: number, share: number, position: number, n: number): void;
  /** x0 to x3, y0 to y3, tile, pairs, tiles, step. */
  multiply(...addressesAndCounts: number[]): void;
  scoresFrom(sums: number, scales: number, unit: number, count: number): void;
  roundWeights(weights: number, scales: number, count: number): number;
  addSums(out: number, keep: number, sums: number, unit: number, n: number): void;
  exp4Array(x: number, n: number): void;
}

/**
 * The compiled kernels. A Worker imports the `.wasm` files (workerd compiles no bytes) and may leave one out; Node reads them (node-kernel.ts) and leaves out
 * what its engine does not know.
 */
export interface KernelModules {
  /** With relaxed SIMD: about twice as fast for q4_0. */
  relaxed?: WebAssembly.Module | null;
  /** With plain SIMD. Same results to the bit. */
  simd?: WebAssembly.Module | null;
  /** Whether the JavaScript engine joins 128-bit instructions to 256-bit ones (node-kernel.ts). */
  wide?: boolean;
}

/** The faster of the modules given. Throws when there is none. */
export function chooseKernel(modules: KernelModules): WebAssembly.Module {
  const module = modules.relaxed ?? modules.simd;
  if (!module) throw new Error('This JavaScript engine runs neither build of the kernels: WebAssembly SIMD is missing.');
  return module;
}

/** Threads that compute together on one memory (node-team.ts). */
export interface KernelTeam {
  readonly threads: number;
  /** Starts the threads on a shared memory. The kernels answered work like those of one thread, with the same results to the bit; they throw when a thread has died. */
  start(arena: Arena): Promise<Kernel>;
  /** Ends the threads; the kernels throw from then on. */
  close(): Promise<void>;
}

/** Instantiates a kernel module on a memory. The module keeps its tables and small buffers in the memory's first 64 KiB. */
export function instantiateKernel(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernel {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernel;
}
