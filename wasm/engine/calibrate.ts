import type { ModelConfig } from '../../models/config.ts';
import type { Importance } from '../../models/pack/importance.ts';
import { planLayout } from '../../models/pack/layout.ts';
import type { PackDescription } from '../../models/pack/writer.ts';
import { assembleManifest, describeFile, packFile } from '../../models/pack/writer.ts';
import type { Source } from '../../models/sources/source.ts';
import type { KernelModules } from './kernel.ts';
import { loadStage } from './loader.ts';
import type { Observe } from './observe.ts';

export interface CalibrateOptions {
  modules: KernelModules;
  description: PackDescription;
  /** What the model computes in. Default q8_0: f32 takes four times the memory, and differs by far less than columns do from each other. */
  precision?: 'q8_0' | 'f32';
  /** Called after every layer. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/**
 * Runs a source's model over token ids and answers the mean square of every column of what its matrices are multiplied with. One layer is in memory at a
 * time, so that a model of any size takes little. Node only.
 * Throws `ModelError` for shapes the engine cannot run.
 */
export async function calibrate(source: Source, ids: number[], options: CalibrateOptions): Promise<Importance> {
  const { config } = source;
  const sums = new Moments();
  let hidden = await embed(source, ids);
  for (let layer = 0; layer < config.layerTypes.length; layer++) {
    options.signal?.throwIfAborted();
    hidden = await runLayer(source, layer, hidden, await observeLayer(source, layer, sums), options);
    options.onProgress?.(layer + 1, config.layerTypes.length);
  }
  sums.add([config.tiedHead ? 'embed' : 'head'], hidden, config.hiddenSize, await normOf(source, 'norm'));
  return sums.means();
}

/** Mean squares of columns, gathered row by row. */
class Moments {
  readonly #sums = new Map<string, { squares: Float64Array; rows: number }>();

  /** Rows of `width` values that the matrices `names` are multiplied with, after an RMS norm where one is given. */
  add(names: string[], values: Float32Array, width: number, norm?: { weight: Float32Array; epsilon: number }): void {
    const key = names.join();
    const sum = this.#sums.get(key) ?? { squares: new Float64Array(width), rows: 0 };
    this.#sums.set(key, sum);
    for (let from = 0; from < values.length; from += width) {
      let total = 0;
      for (let i = 0; norm && i < width; i++) total += values[from + i]! ** 2;
      const factor = norm ? 1 / (total / width + norm.epsilon) : 1;
      for (let i = 0; i < width; i++)
        sum.squares[i] = sum.squares[i]! + values[from + i]! ** 2 * factor * (norm ? norm.weight[i]! ** 2 : 1);
      sum.rows += 1;
    }
  }

  means(): Map<string, Float32Array> {
    const entries = [...this.#sums].map(([names, { squares, rows }]) => [names, Float32Array.from(squares, (sum) => sum / rows)] as const);
    return new Map(entries.flatMap(([names, means]) => names.split(',').map((name) => [name, means] as const)));
  }
}

async function floats(source: Source, name: string, row = 0): Promise<Float32Array> {
  const data = await source.read(name, row, 1);
  if (data.type !== 'f32') throw new Error(`${name} must be read as floats.`);
  return data.values;
}

const normOf = async (source: Source, name: string) => ({ weight: await floats(source, name), epsilon: source.config.rmsNormEps });

/** Rows of the token table [tokens, H]. */
async function embed(source: Source, ids: number[]): Promise<Float32Array> {
  const { hiddenSize } = source.config;
  const rows = new Map<number, Float32Array>();
  const hidden = new Float32Array(ids.length * hiddenSize);
  for (const [i, id] of ids.entries()) {
    const row = rows.get(id) ?? (await floats(source, 'embed', id));
    rows.set(id, row);
    hidden.set(row, i * hiddenSize);
  }
  return hidden;
}

async function observeLayer(source: Source, layer: number, sums: Moments): Promise<Observe> {
  const { config } = source;
  const names = (...of: string[]) => of.map((name) => `layers.${layer}.${name}`);
  const [inputNorm, postNorm] = [await normOf(source, names('input_norm')[0]!), await normOf(source, names('post_norm')[0]!)];
  const attention = config.layerTypes[layer] === 'full_attention';
  const inputs = attention ? names('q_proj', 'k_proj', 'v_proj') : names('qkv_proj', 'z_proj');
  const output = names(attention ? 'o_proj' : 'out_proj');
  return (_, what, values) => {
    if (what === 'residual_mixer') sums.add(inputs, values, config.hiddenSize, inputNorm);
    else if (what === 'mixed') sums.add(output, values, mixedWidth(config, attention));
    else if (what === 'residual_mlp') sums.add(names('gate_proj', 'up_proj'), values, config.hiddenSize, postNorm);
    else sums.add(names('down_proj'), values, config.intermediateSize);
  };
}

const mixedWidth = ({ numHeads, headDim, linear }: ModelConfig, attention: boolean): number =>
  attention ? numHeads * headDim : linear!.valueHeads * linear!.valueDim;

/** One layer, packed in memory, over hidden states [tokens, H]. */
async function runLayer(
  source: Source,
  layer: number,
  hidden: Float32Array,
  observe: Observe,
  { modules, description, precision = 'q8_0' }: CalibrateOptions,
): Promise<Float32Array> {
  const { config } = source;
  const layout = planLayout(config, precision);
  const prefix = `layers.${layer}.`;
  const needed = new Set(
    Object.entries(layout.tensors).flatMap(([name, { parts }]) => (name.startsWith(prefix) ? parts.map((part) => part.file) : [])),
  );
  const contents = new Map<string, Uint8Array>();
  for (const index of needed) contents.set(layout.files[index]!.name, await packFile(source, layout, index));
  const files = layout.files.map(({ name }) => describeFile(name, contents.get(name) ?? new Uint8Array()));
  const manifest = assembleManifest(config, { ...description, quantization: precision }, layout, files, null);
  const storage = {
    manifest: async () => JSON.stringify(manifest),
    read: async (name: string, into: Uint8Array) => into.set(contents.get(name)!),
  };
  const tokens = hidden.length / config.hiddenSize;
  const spec = { layers: { first: layer, last: layer + 1 }, embed: null, head: null };
  const stage = await loadStage({ modules, storage, manifest, spec, contextLength: tokens, observe });
  await stage.open('calibration');
  const [result] = await stage.step([{ session: 'calibration', position: 0, hidden }]);
  return result!.hidden!;
}
