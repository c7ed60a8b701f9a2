import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type HubFile, type HubOptions, openRepository, type Repository } from '../hub/hub.ts';
import { ModelError } from '../model-error.ts';
import { type PackLayout, planLayout, typesFor } from '../pack/layout.ts';
import type { Manifest, WeightType } from '../pack/manifest.ts';
import { type Calibration, importanceOf, preparePack } from '../pack/pack-model.ts';
import { assembleManifest, describeFile, formatManifest, writePack } from '../pack/writer.ts';
import { readGgufSource } from '../sources/gguf/index.ts';
import { openSafetensorsSource } from '../sources/safetensors/index.ts';
import { readSafetensors, readWeightMap } from '../sources/safetensors/store.ts';
import type { Source } from '../sources/source.ts';
import { tensorGroups } from '../tensors.ts';
import { ArrivingFile, type TransferOptions } from './arriving-file.ts';
import { chooseGguf, chooseWeights, INDEX_FILE, requireSafetensors, SMALL_FILES } from './choose-files.ts';
import { explainFullDisk, requireSpace } from './disk-space.ts';
import { packArriving } from './pack-arriving.ts';
import { packedSource } from './packed-source.ts';
import { PartialFolder } from './partial-folder.ts';
import { PlacedWriter } from './placed-writer.ts';
import { fetchSmallFiles } from './small-files.ts';

export interface PullOptions {
  /** Branch, tag or commit. */
  revision: string;
  quantization: WeightType;
  /** A GGUF file of the repository to pack, instead of its safetensors. */
  file?: string;
  /**
   * What q4_0 is calibrated with, if at all. It takes a model that is whole, so the weights are kept in q8_0 as they arrive, and packed again at the end.
   * A model without a tokenizer, and one that has some q4_0 already, is not calibrated.
   */
  calibration?: Calibration;
  /** Bytes of the calibrated pack that are done, and of all. */
  onPacked?: (done: number, total: number) => void;
  /** Keep the files themselves too, in `OUT.source`. */
  keep: boolean;
  hub: HubOptions;
  /** Ranges fetched at a time; memory grows by `chunkBytes` for each. */
  connections: number;
  chunkBytes: number;
  /** Bytes of weight files that are here, and of all. */
  onProgress: (done: number, total: number) => void;
  /** Called at the start when an earlier run left something. */
  onResume?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/**
 * Downloads a model from a hub and packs it as it arrives, into the new folder `out`. Work in progress is in `out.partial`: the pack's own files, half filled, and
 * how far each weight file has been taken in, so that the same call goes on after a kill. Every byte of every file it uses is checked against the file's published
 * hash before `out` appears. Throws `ModelError`.
 */
export async function pullModel(name: string, out: string, options: PullOptions): Promise<{ manifest: Manifest; warnings: string[] }> {
  const folder = resolve(out);
  const kept = `${folder}.source`;
  for (const path of options.keep ? [folder, kept] : [folder]) {
    if (await stat(path).catch(() => null)) throw new ModelError(`${path} exists already; remove it or choose another OUT.`);
  }
  const repository = await openRepository(name, options.revision, options.hub, options.signal);
  const { quantization, calibration, file = null, keep } = options;
  const identity = { name, commit: repository.commit, file, quantization, keep, ...(calibration && { calibrated: true }) };
  const partial = await PartialFolder.open(`${folder}.partial`, identity);
  try {
    const { path, ...pulled } = await pullInto(repository, partial, options);
    await rename(path, folder);
    if (keep) await rename(partial.source, kept);
    await partial.remove();
    return pulled;
  } catch (error) {
    throw explainFullDisk(error);
  } finally {
    await partial.release();
  }
}

/** What became of a pull, and the folder it is in. */
interface Pulled {
  path: string;
  manifest: Manifest;
  warnings: string[];
}

async function pullInto(repository: Repository, partial: PartialFolder, options: PullOptions): Promise<Pulled> {
  const progress = startProgress(options.onProgress);
  const { chunkBytes, connections, signal, quantization, keep } = options;
  const arriving = await openArriving(repository, partial, options, { chunkBytes, connections, signal, onBytes: progress.add });
  const source = await openArrivingSource(repository, arriving, partial, options);
  const prepared = preparePack(source, { quantization });
  const calibration = quantization === 'q4_0' && prepared.tokenizer && !hasFourBits(source) ? options.calibration : undefined;
  const stored = calibration ? 'q8_0' : quantization;
  const layout = planLayout(source.config, stored, undefined, typesFor(source, stored));
  const writer = new PlacedWriter(partial.pack, layout);
  try {
    const { tokenizer } = prepared;
    const total = arriving.reduce((sum, { file }) => sum + file.size, 0);
    const done = arriving.reduce((sum, { file, bytes }) => sum + Math.max(partial.progress(file.path)?.position ?? 0, bytes.headBytes), 0);
    const packed = layout.files.reduce((sum, file) => sum + file.bytes, tokenizer?.length ?? 0);
    const again = calibration ? Math.ceil(packed * (18 / 34)) : 0;
    await requireSpace(dirname(partial.path), Math.ceil(((packed + (keep ? total : 0)) * (total - done)) / total) + again);
    if (arriving.some(({ file }) => partial.progress(file.path))) options.onResume?.(done, total);
    progress.start(done, total);
    for (const [i, { file, bytes }] of arriving.entries()) {
      const keepPath = keep ? join(partial.source, basename(file.path)) : null;
      await packArriving(file, bytes, i, { source, layout, writer, partial, keepPath, recordBytes: chunkBytes, signal });
    }
    if (calibration) return await packAgain(source, layout, partial, prepared, { ...options, calibration });
    return await finish(source, layout, partial, prepared, writer);
  } finally {
    await writer.close();
    await source.close();
  }
}

/** Writes what the pack needs beside its weights, which are all there. */
async function finish(
  source: Source,
  layout: PackLayout,
  partial: PartialFolder,
  prepared: Prepared,
  writer: PlacedWriter,
): Promise<Pulled> {
  const { description, tokenizer, warnings } = prepared;
  const tokenizerFile = tokenizer && describeFile('tokenizer.bin', tokenizer);
  if (tokenizer) await writeFile(join(partial.pack, 'tokenizer.bin'), tokenizer);
  const manifest = assembleManifest(source.config, description, layout, await writer.describe(), tokenizerFile);
  await writeFile(join(partial.pack, 'manifest.json'), formatManifest(manifest), { flush: true });
  return { path: partial.pack, manifest, warnings };
}

/** Calibrates and packs the weights that arrived, which are in q8_0. Interrupted, it begins anew: nothing has to be fetched for it. */
async function packAgain(
  source: Source,
  layout: PackLayout,
  partial: PartialFolder,
  { description, tokenizer, warnings }: Prepared,
  { calibration, onPacked, signal }: PullOptions & { calibration: Calibration },
): Promise<Pulled> {
  const arrived = packedSource(source, partial.pack, layout);
  try {
    const importance = await importanceOf(arrived, description, tokenizer, calibration);
    await rm(partial.calibrated, { recursive: true, force: true });
    const manifest = await writePack(arrived, partial.calibrated, description, { tokenizer, importance, onProgress: onPacked, signal });
    return { path: partial.calibrated, manifest, warnings };
  } finally {
    await arrived.close();
  }
}

type Prepared = ReturnType<typeof preparePack>;

/** Weights that somebody chose for four bits already are moved as they are. */
const hasFourBits = (source: Source): boolean =>
  tensorGroups(source.config).some(({ tensors }) => tensors.some(({ name }) => source.place(name).type === 'Q4_0'));

/** A weight file as it is published, and as it arrives. */
interface Arriving {
  file: HubFile;
  bytes: ArrivingFile;
}

/** Fetches what describes the weights, and finds the files that hold them. */
async function openArriving(
  repository: Repository,
  partial: PartialFolder,
  { file, keep }: PullOptions,
  transfer: TransferOptions,
): Promise<Arriving[]> {
  const open = async (published: HubFile): Promise<Arriving> => {
    const headPath = join(partial.heads, basename(published.path));
    return { file: published, bytes: await ArrivingFile.open(repository.open(published.path), headPath, transfer) };
  };
  if (file !== undefined) return [await open(chooseGguf(repository, file))];
  requireSafetensors(repository);
  await fetchSmallFiles(repository, [...SMALL_FILES, INDEX_FILE], partial.source, transfer);
  const index = repository.files.has(INDEX_FILE) ? readWeightMap(await readFile(join(partial.source, INDEX_FILE), 'utf8')) : null;
  return Promise.all(chooseWeights(repository, index, keep).map(open));
}

/** Fetches the heads of the weight files, and reads from them what the model is. */
async function openArrivingSource(
  repository: Repository,
  arriving: Arriving[],
  partial: PartialFolder,
  { file }: PullOptions,
): Promise<Source> {
  const files = arriving.map(({ bytes }) => bytes);
  try {
    if (file !== undefined) return { ...(await readGgufSource(files[0]!)), origin: originOf(repository, file) };
    const source = await openSafetensorsSource(partial.source, () => readSafetensors(files));
    return { ...source, name: repository.name.split('/').at(-1)!, origin: originOf(repository) };
  } catch (error) {
    // A head's own bytes are checked with the rest of its file; until then what it says may be a transfer's fault.
    await Promise.all(files.map((each) => each.forget()));
    throw error;
  }
}

const originOf = ({ name, commit }: Repository, file?: string): string => `${name}${file ? `/${file}` : ''}@${commit.slice(0, 12)}`;

/** Counts bytes from the start on, but tells nobody before it knows how many there are. */
function startProgress(report: (done: number, total: number) => void) {
  let [done, total] = [0, 0];
  return {
    add(bytes: number) {
      done += bytes;
      if (total > 0) report(Math.min(done, total), total);
    },
    start(doneBefore: number, all: number) {
      [done, total] = [doneBefore, all];
      report(done, total);
    },
  };
}
