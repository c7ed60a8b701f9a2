import type { ModelConfig } from '../../models/config.ts';
import { hasGatedAttention } from '../../models/config.ts';
import { ModelError } from '../../models/model-error.ts';
import type { Arena } from './arena.ts';
import type { Kernel } from './kernel.ts';
import { PAGE } from './sessions.ts';
import { MODEL, ROW, structBytes, writeStruct } from './structs.ts';

/** Most rows of a micro-batch: what the kernels work on at once, and what runs between two yields. */
export const MAX_ROWS = 32;
/** Rows of the head computed between two yields. */
export const HEAD_ROWS = 8192;
/** Most candidates the kernel sorts. */
export const MAX_CANDIDATES = 1024;

/** Addresses of what the layers work in; shared by all sessions, so one step runs at a time. */
export interface Scratch {
  /** The kernels' Model record. */
  model: number;
  /** Row records of a micro-batch. */
  rows: number;
  /** Residual stream [MAX_ROWS, H]. */
  x: number;
  /** RoPE tables [MAX_ROWS, rotaryDim / 2]. */
  cos: number;
  sin: number;
  /** Logits of a slice of the head [MAX_ROWS, headRows]. */
  logits: number;
  /** Rows of such a slice. */
  headRows: number;
  /** Candidates: indices and values. */
  indices: number;
  values: number;
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

type Shared = 'q' | 'k' | 'v' | 'qkv' | 'z' | 'b' | 'a' | 'factors' | 'gate' | 'up';

/** Floats per row of the buffers of attention, of DeltaNet and of the MLP, which never run at the same time. */
function sharedWidths(config: ModelConfig): [Shared, number][][] {
  const { numHeads, numKvHeads, headDim, intermediateSize, linear } = config;
  const kv = numKvHeads * headDim;
  const values = linear ? linear.valueHeads * linear.valueDim : 0;
  const channels = linear ? 2 * linear.keyHeads * linear.keyDim + values : 0;
  const gates = linear ? roundUp(linear.valueHeads, 8) : 0;
  return [
    [
      ['q', numHeads * headDim * (hasGatedAttention(config) ? 2 : 1)],
      ['k', kv],
      ['v', kv],
    ],
    [
      ['qkv', channels],
      ['z', values],
      ['b', gates],
      ['a', gates],
      ['factors', (linear?.valueHeads ?? 0) * 16],
    ],
    [
      ['gate', intermediateSize],
      ['up', intermediateSize],
    ],
  ];
}

/** Width of what a mixer hands to its output projection. */
const mixedWidth = ({ numHeads, headDim, linear }: ModelConfig): number =>
  Math.max(numHeads * headDim, linear ? linear.valueHeads * linear.valueDim : 0);

/** Refuses, in one sentence, shapes that the kernels' vectors do not divide, or would leave. */
export function checkShapes(config: ModelConfig): void {
  const refuse = (what: string, size: number, of: number) => {
    if (size % of) throw new ModelError(`The engine cannot run this model: its ${what} is ${size}, which is no multiple of ${of}.`);
  };
  refuse('hidden size', config.hiddenSize, 8);
  refuse('intermediate size', config.intermediateSize, 8);
  refuse('head size', config.headDim, 4);
  refuse('width of keys and values', config.numKvHeads * config.headDim, 8);
  refuse('number of rotated dimensions', config.rotaryDim, 2);
  if (config.rotaryDim > config.headDim)
    throw new ModelError(`The engine cannot run this model: it rotates ${config.rotaryDim} of a head's ${config.headDim} dimensions.`);
  refuse('number of attention heads', config.numHeads, config.numKvHeads);
  if (!config.linear) return;
  refuse('linear attention key size', config.linear.keyDim, 4);
  refuse('linear attention value size', config.linear.valueDim, 16);
  refuse('number of linear attention heads', config.linear.valueHeads, config.linear.keyHeads);
  if (config.linear.convKernel < 2) throw new ModelError('The engine cannot run this model: its convolution has fewer than two taps.');
}

export interface ScratchOptions {
  /** Keys and values are kept as 16-bit integers. */
  int16Kv: boolean;
  /** Rows of the head held, 0 for none. */
  headRange: number;
  /** Threads that compute at the same time. */
  threads: number;
  /** Products are computed for 256-bit instructions. */
  wide?: boolean;
}

/** Allocates the scratch of a stage and tells the kernel of it. */
export function allocateScratch(arena: Arena, kernel: Kernel, config: ModelConfig, options: ScratchOptions): Scratch {
  const { int16Kv, headRange, threads, wide } = options;
  const lines = (floats: number) => arena.allocate(MAX_ROWS * floats * 4);
  const groups = sharedWidths(config);
  const headRows = Math.min(HEAD_ROWS, roundUp(headRange, 8));
  const shared = lines(Math.max(headRows, ...groups.map((group) => group.reduce((sum, [, width]) => sum + roundUp(width, 16), 0))));
  const [x, normed, mixed] = [lines(config.hiddenSize), lines(config.hiddenSize), lines(mixedWidth(config))];
  const [cos, sin] = [lines(config.rotaryDim / 2), lines(config.rotaryDim / 2)];
  const [running, scores] = [lines(config.numHeads * 4), lines(config.numHeads * PAGE)];
  const sums = arena.allocate(int16Kv ? threads * 4 * config.headDim * 4 : 0);
  const rows = arena.allocate(MAX_ROWS * structBytes(ROW));
  const model = arena.allocate(structBytes(MODEL));
  const blocks = Math.max(config.hiddenSize, config.intermediateSize, mixedWidth(config)) / 32;
  kernel.setProductScratch(arena.allocate(Math.ceil((MAX_ROWS / 4) * blocks * 288)), 0);
  if (wide) kernel.setWideProducts(arena.allocate(threads * 256));
  const [indices, values] = [arena.allocate(MAX_CANDIDATES * 4), arena.allocate(MAX_CANDIDATES * 4)];
  const buffers = { x, normed, mixed, running, scores, sums, cos, sin };
  const fields = { ...shapeFields(config), ...sharedAddresses(groups, shared), ...buffers, int16Kv: int16Kv ? 1 : 0 };
  writeStruct(arena.memory.buffer, model, MODEL, fields);
  return { model, rows, x, cos, sin, logits: shared, headRows, indices, values };
}

/** Each group's buffers one after the other, all groups from the start of the shared region. */
function sharedAddresses(groups: [Shared, number][][], start: number): Record<Shared, number> {
  const addresses: Partial<Record<Shared, number>> = {};
  for (const group of groups) {
    let at = start;
    for (const [name, width] of group) {
      addresses[name] = at;
      at += MAX_ROWS * roundUp(width, 16) * 4;
    }
  }
  return addresses as Record<Shared, number>;
}

function shapeFields(config: ModelConfig) {
  const { linear } = config;
  return {
    hidden: config.hiddenSize,
    intermediate: config.intermediateSize,
    heads: config.numHeads,
    kvHeads: config.numKvHeads,
    headDim: config.headDim,
    rotaryDim: config.rotaryDim,
    epsilon: config.rmsNormEps,
    gated: hasGatedAttention(config) ? 1 : 0,
    keyHeads: linear?.keyHeads ?? 0,
    valueHeads: linear?.valueHeads ?? 0,
    keyDim: linear?.keyDim ?? 0,
    valueDim: linear?.valueDim ?? 0,
    taps: linear?.convKernel ?? 0,
  };
}
