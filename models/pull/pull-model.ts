import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type HubFile, type HubOptions, openRepository, type Repository } from '../hub/hub.ts';
import { ModelError } from '../model-error.ts';
import { planLayout, typesFor } from '../pack/layout.ts';
import type { Manifest, WeightType } from '../pack/manifest.ts';
import { preparePack } from '../pack/pack-model.ts';
import { assembleManifest, describeFile, formatManifest } from '../pack/writer.ts';
import { readGgufSource } from '../sources/gguf/index.ts';
import { openSafetensorsSource } from '../sources/safetensors/index.ts';
import { readSafetensors, readWeightMap } from '../sources/safetensors/store.ts';
import type { Source } from '../sources/source.ts';
import { ArrivingFile, type TransferOptions } from './arriving-file.ts';
import { chooseGguf, chooseWeights, INDEX_FILE, requireSafetensors, SMALL_FILES } from './choose-files.ts';
import { explainFullDisk, requireSpace } from './disk-space.ts';
import { packArriving } from './pack-arriving.ts';
import { PartialFolder } from './partial-folder.ts';
import { PlacedWriter } from './placed-writer.ts';
import { fetchSmallFiles } from './small-files.ts';

export interface PullOptions {
  /** Branch, tag or commit. */
  revision: string;
  quantization: WeightType;
  /** A GGUF file of the repository to pack, instead of its safetensors. */
  file?: string;
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
  const { quantization, file = null, keep } = options;
  const partial = await PartialFolder.open(`${folder}.partial`, { name, commit: repository.commit, file, quantization, keep });
  try {
    const pulled = await pullInto(repository, partial, options);
    await rename(partial.pack, folder);
    if (keep) await rename(partial.source, kept);
    await partial.remove();
    return pulled;
  } catch (error) {
    throw explainFullDisk(error);
  } finally {
    await partial.release();
  }
}

async function pullInto(
  repository: Repository,
  partial: PartialFolder,
  options: PullOptions,
): Promise<{ manifest: Manifest; warnings: string[] }> {
  const progress = startProgress(options.onProgress);
  const { chunkBytes, connections, signal, quantization, keep } = options;
  const arriving = await openArriving(repository, partial, options, { chunkBytes, connections, signal, onBytes: progress.add });
  const source = await openArrivingSource(repository, arriving, partial, options);
  const layout = planLayout(source.config, quantization, undefined, typesFor(source, quantization));
  const writer = new PlacedWriter(partial.pack, layout);
  try {
    const { description, tokenizer, warnings } = preparePack(source, { quantization });
    const total = arriving.reduce((sum, { file }) => sum + file.size, 0);
    const done = arriving.reduce((sum, { file, bytes }) => sum + Math.max(partial.progress(file.path)?.position ?? 0, bytes.headBytes), 0);
    const packed = layout.files.reduce((sum, file) => sum + file.bytes, tokenizer?.length ?? 0);
    await requireSpace(dirname(partial.path), Math.ceil(((packed + (keep ? total : 0)) * (total - done)) / total));
    if (arriving.some(({ file }) => partial.progress(file.path))) options.onResume?.(done, total);
    progress.start(done, total);
    for (const [i, { file, bytes }] of arriving.entries()) {
      const keepPath = keep ? join(partial.source, basename(file.path)) : null;
      await packArriving(file, bytes, i, { source, layout, writer, partial, keepPath, recordBytes: chunkBytes, signal });
    }
    const tokenizerFile = tokenizer && describeFile('tokenizer.bin', tokenizer);
    if (tokenizer) await writeFile(join(partial.pack, 'tokenizer.bin'), tokenizer);
    const manifest = assembleManifest(source.config, description, layout, await writer.describe(), tokenizerFile);
    await writeFile(join(partial.pack, 'manifest.json'), formatManifest(manifest), { flush: true });
    return { manifest, warnings };
  } finally {
    await writer.close();
    await source.close();
  }
}

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
