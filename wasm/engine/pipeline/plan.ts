import { ModelError } from '../../../models/model-error.ts';
import type { Manifest } from '../../../models/pack/manifest.ts';
import { Arena } from '../arena.ts';
import type { Kernel } from '../kernel.ts';
import { wholeModel } from '../loader.ts';
import { allocateScratch } from '../scratch.ts';
import { keepsInt16, PAGE, stateLayout } from '../sessions.ts';
import type { StageSpec } from '../stage.ts';
import { filesOf } from '../weights.ts';
import { cutInto } from './cut.ts';
import { hashText } from './hash.ts';

/** What a model is to be cut for. */
export interface PlanOptions {
  /** Most bytes of one isolate, everything counted. Cloudflare stops one at 128 MB; what is left under that is for what nobody has counted. */
  budgetBytes: number;
  /** So many sessions of so many tokens, at the same time. */
  sessions: number;
  contextLength: number;
  /** Allowance for code and JavaScript objects of a stage: as much as an hour's work has been seen to leave before V8 collects it (13 MB), and some more. */
  heapBytes: number;
}

export const PLAN_DEFAULTS: PlanOptions = { budgetBytes: 100e6, sessions: 4, contextLength: 512, heapBytes: 14e6 };

/** One stage of a plan, and what it takes. */
export interface PlannedStage {
  spec: StageSpec;
  /** The WebAssembly memory's maximum: weights, work and sessions. */
  wasmBytes: number;
  weightBytes: number;
  /** KV cache and recurrent state of all sessions. */
  stateBytes: number;
  /** Scratch of the layers and of the head. */
  workBytes: number;
  heapBytes: number;
}

/** How a pack is cut into stages. */
export interface Plan {
  version: 1;
  /** Name of the model, and a hash of the contents of its pack. */
  model: string;
  pack: string;
  sessions: number;
  contextLength: number;
  stages: PlannedStage[];
}

const WASM_PAGE = 65536;
/** The kernels' own memory, and records of matrices and the like, which are a few hundred bytes a layer. */
const FIXED_BYTES = WASM_PAGE;
const RECORD_BYTES = 4096;

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Bytes of everything a stage holds. */
export const totalBytes = ({ wasmBytes, heapBytes }: PlannedStage): number => wasmBytes + heapBytes;

/** A hash of what a pack holds: the checksums of its files. */
export const packHash = ({ files }: Manifest): string =>
  hashText(JSON.stringify(files.map(({ name, bytes, checksum }) => [name, bytes, checksum])));

/**
 * Cuts a model into as few stages as fit the budget, and these evenly: one that holds all of it, or stages of layers and slices of the vocabulary. The vocabulary is
 * cut where the pack has a new file, so that nothing is loaded twice. Throws `ModelError` naming what does not fit.
 */
export function planStages(manifest: Manifest, changes: Partial<PlanOptions> = {}): Plan {
  const options = { ...PLAN_DEFAULTS, ...changes };
  const contextLength = Math.min(options.contextLength, manifest.config.contextLength);
  const measure = measureStages(manifest, { ...options, contextLength });
  const whole = measure(wholeModel(manifest), options.heapBytes + tokenizerHeap(manifest));
  const stages = totalBytes(whole) <= options.budgetBytes ? [whole] : cutModel(manifest, options, measure);
  return { version: 1, model: manifest.name, pack: packHash(manifest), sessions: options.sessions, contextLength, stages };
}

type Measure = (spec: StageSpec, heapBytes?: number) => PlannedStage;

/** A tokenizer's tables, where one isolate does all: about four times its file. */
const tokenizerHeap = ({ tokenizer }: Manifest): number => 4 * (tokenizer?.bytes ?? 0);

function cutModel(manifest: Manifest, { budgetBytes }: PlanOptions, measure: Measure): PlannedStage[] {
  const { layerTypes, vocabSize, tiedHead } = manifest.config;
  const layers = (first: number, last: number) => measure({ layers: { first, last }, embed: null, head: null });
  const starts = manifest.tensors[tiedHead ? 'embed' : 'head']!.parts.map(({ row }) => row);
  const slice = (first: number, last: number) => {
    const range = { first: starts[first]!, last: starts[last] ?? vocabSize };
    return measure({ layers: { first: layerTypes.length, last: layerTypes.length }, embed: range, head: range });
  };
  return [
    ...cutEvenly(layerTypes.length, layers, budgetBytes, (i) => `Layer ${i}`),
    ...cutEvenly(starts.length, slice, budgetBytes, (i) => `A slice of the vocabulary from row ${starts[i]}`),
  ];
}

/** The fewest stages that fit, and of these the cut whose largest stage is smallest. */
function cutEvenly(
  count: number,
  measure: (first: number, last: number) => PlannedStage,
  budgetBytes: number,
  nameOf: (index: number) => string,
): PlannedStage[] {
  for (let i = 0; i < count; i++) {
    const alone = measure(i, i + 1);
    if (totalBytes(alone) > budgetBytes) throw new ModelError(`${nameOf(i)} ${doesNotFit(alone, budgetBytes)}`);
  }
  const known = new Map<number, number>();
  const cost = (first: number, last: number) => {
    const key = first * (count + 1) + last;
    if (!known.has(key)) known.set(key, totalBytes(measure(first, last)));
    return known.get(key)!;
  };
  for (let stages = 1; ; stages++) {
    const borders = cutInto(stages, count, cost);
    const planned = borders.slice(0, -1).map((first, i) => measure(first, borders[i + 1]!));
    if (planned.every((stage) => totalBytes(stage) <= budgetBytes)) return planned;
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function doesNotFit(stage: PlannedStage, budgetBytes: number): string {
  const { weightBytes, stateBytes, workBytes, heapBytes } = stage;
  const parts = `weights ${megabytes(weightBytes)}, sessions ${megabytes(stateBytes)}, work ${megabytes(workBytes)}, JavaScript ${megabytes(heapBytes)}`;
  return `does not fit: it needs ${megabytes(totalBytes(stage))} alone (${parts}), and a stage may have ${megabytes(budgetBytes)}. Fewer sessions, shorter ones, or fewer bits a weight need less.`;
}

/** Tells what a stage takes. */
function measureStages(manifest: Manifest, options: PlanOptions): Measure {
  const { config, files } = manifest;
  const int16Kv = keepsInt16(manifest);
  const scratch = new Map<number, number>();
  return (spec, heapBytes = options.heapBytes) => {
    const held = filesOf(manifest, spec);
    const weightBytes = held.reduce((sum, file) => sum + align(files[file]!.bytes), 0);
    const layout = stateLayout(config, spec, options.contextLength, int16Kv);
    const pages = layout.runs > 0 ? Math.ceil(options.contextLength / PAGE) * align(layout.pageBytes) : 0;
    const stateBytes = options.sessions * (align(layout.tableBytes + layout.recurrentBytes) + pages);
    const headRange = spec.head ? spec.head.last - spec.head.first : 0;
    if (!scratch.has(headRange)) scratch.set(headRange, scratchBytes(manifest, headRange));
    const workBytes = FIXED_BYTES + scratch.get(headRange)! + RECORD_BYTES * (spec.layers.last - spec.layers.first + 1);
    const wasmBytes = Math.ceil((weightBytes + stateBytes + workBytes) / WASM_PAGE) * WASM_PAGE;
    return { spec, wasmBytes, weightBytes, stateBytes, workBytes, heapBytes };
  };
}

/** Found by allocating it, so that there is one list of these buffers. */
function scratchBytes(manifest: Manifest, headRange: number): number {
  const arena = new Arena();
  const kernel = { setProductScratch: () => {} } as unknown as Kernel;
  allocateScratch(arena, kernel, manifest.config, { int16Kv: keepsInt16(manifest), headRange, threads: 1 });
  return arena.bytes;
}
