import type { Manifest } from '../../models/pack/manifest.ts';
import { PART_ROWS } from '../../models/pack/manifest.ts';
import type { PackStorage } from '../../models/pack/storage.ts';
import { Arena } from './arena.ts';
import { chooseKernel, instantiateKernel, type KernelModules, type KernelTeam } from './kernel.ts';
import { LocalStage } from './local-stage.ts';
import type { Observe } from './observe.ts';
import { allocateScratch, checkShapes } from './scratch.ts';
import { keepsInt16, Sessions, stateLayout } from './sessions.ts';
import { StageError, type StageSpec } from './stage.ts';
import { WeightLoader } from './weights.ts';
import { type YieldNow, yieldNow } from './yield-now.ts';

export interface LoadOptions {
  modules: KernelModules;
  /** Computes with these threads, instead of with `modules` on the caller's thread. */
  team?: KernelTeam;
  storage: PackStorage;
  /** The pack's manifest, parsed (models/pack/reader.ts). */
  manifest: Manifest;
  /** Default: the whole model. */
  spec?: StageSpec;
  /** Largest size of the engine's memory in bytes: weights, scratch and all sessions. Default: what 32-bit addresses reach. */
  maxBytes?: number;
  /** Longest sequence in tokens; never more than the model's own, which is the default. */
  contextLength?: number;
  /** How a running step lets other events in. */
  yieldNow?: YieldNow;
  /** Is shown what the layers' matrices are multiplied with. */
  observe?: Observe;
}

/** The stage that holds a whole model. */
export function wholeModel({ config }: Manifest): StageSpec {
  const vocabulary = { first: 0, last: config.vocabSize };
  return { layers: { first: 0, last: config.layerTypes.length }, embed: vocabulary, head: vocabulary };
}

/**
 * Loads a stage of a pack: reads only the files it needs, straight into WebAssembly memory, and checks them. Throws `StageError` `bad_input` for a spec that
 * does not fit the model and `out_of_memory` before anything was read, `ModelError` for shapes the kernels cannot run and damaged files, and what the
 * storage throws.
 */
export async function loadStage(options: LoadOptions): Promise<LocalStage> {
  const { manifest, team } = options;
  const { config } = manifest;
  const spec = options.spec ?? wholeModel(manifest);
  checkSpec(spec, manifest);
  checkShapes(config);
  const int16Kv = keepsInt16(manifest);
  const arena = new Arena(options.maxBytes, team !== undefined);
  const kernel = team ? await team.start(arena) : instantiateKernel(chooseKernel(options.modules), arena.memory);
  const contextLength = Math.min(config.contextLength, options.contextLength ?? config.contextLength);
  const sessions = new Sessions(arena, stateLayout(config, spec, contextLength, int16Kv));
  const loader = new WeightLoader(manifest, spec, arena, kernel, (layer) => sessions.layout.places.get(layer)!);
  const headRange = spec.head ? spec.head.last - spec.head.first : 0;
  const scratch = allocateScratch(arena, kernel, config, {
    int16Kv,
    headRange,
    threads: team?.threads ?? 1,
    wide: options.modules.wide ?? false,
  });
  await loader.read(options.storage);
  return new LocalStage({
    manifest,
    spec,
    arena,
    kernel,
    sessions,
    weights: loader.weights,
    scratch,
    yieldNow: options.yieldNow ?? yieldNow,
    observe: options.observe,
    team,
  });
}

function checkSpec(spec: StageSpec, { config }: Manifest): void {
  const check = (name: string, range: { first: number; last: number }, end: number, step: number) => {
    const whole = Number.isInteger(range.first) && Number.isInteger(range.last);
    const cut = range.first % step === 0 && (range.last % step === 0 || range.last === end);
    if (!whole || !cut || range.first < 0 || range.last > end || range.first > range.last || (step > 1 && range.first === range.last)) {
      const borders = step > 1 ? `, cut at multiples of ${step}` : '';
      throw new StageError('bad_input', `The stage's ${name} ${range.first} to ${range.last} do not fit a model with ${end}${borders}.`);
    }
  };
  check('layers', spec.layers, config.layerTypes.length, 1);
  if (spec.embed) check('rows of the token table', spec.embed, config.vocabSize, PART_ROWS);
  if (spec.head) check('rows of the head', spec.head, config.vocabSize, PART_ROWS);
}
