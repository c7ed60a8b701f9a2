import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { planLayout, typesFor } from '../../models/pack/layout.ts';
import type { WeightType } from '../../models/pack/manifest.ts';
import { openPack } from '../../models/pack/reader.ts';
import { openSource } from '../../models/sources/index.ts';
import { smollm2Gguf } from '../../test/support/smollm2.ts';
import { BENCH_CACHE, ROOT } from './workerd.ts';

const note = (text: string): void => void process.stderr.write(`${text}\n`);

/** Runs a program of the repository with this Node. */
const runNode = (args: string[]): void => void execFileSync(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });

/** The 0.8B in its true shape with random weights, as a q4_0 GGUF: the one given, or one made once. */
export function benchGguf(given: string | null): string {
  if (given !== null) return resolve(given);
  const path = join(BENCH_CACHE, '0.8b-q4_0.gguf');
  if (!existsSync(path)) {
    note('Making the 0.8B with random weights (431 MB), this once');
    mkdirSync(BENCH_CACHE, { recursive: true });
    runNode([join(ROOT, 'test/support/make-gguf.mjs'), '--preset', '0.8b', '--type', 'q4_0', `${path}.part`]);
    renameSync(`${path}.part`, path);
  }
  return path;
}

/** Packs a GGUF with our command line, once, and again when packing lays it out otherwise than it did then. Answers the pack's folder. */
export async function benchPack(gguf: string, quantization: WeightType): Promise<string> {
  const folder = join(BENCH_CACHE, `${basename(gguf, '.gguf')}.${quantization}.pack`);
  if (!(await isPackOf(folder, gguf, quantization))) {
    note(`Packing ${basename(gguf)} as ${quantization}, this once`);
    mkdirSync(BENCH_CACHE, { recursive: true });
    rmSync(`${folder}.part`, { recursive: true, force: true });
    runNode([join(ROOT, 'models/cli/index.ts'), 'pack', gguf, `${folder}.part`, '--quant', quantization]);
    rmSync(folder, { recursive: true, force: true });
    renameSync(`${folder}.part`, folder);
  }
  return folder;
}

/**
 * Whether the pack in a folder has the tensors that packing this GGUF gives today, each of the same type and in the same place. How weights were rounded to that type is not
 * seen: who changes it removes the folder.
 */
export async function isPackOf(folder: string, gguf: string, quantization: WeightType): Promise<boolean> {
  if (!existsSync(folder)) return false;
  const pack = await openPack(new FolderStorage(folder)).catch(() => null);
  if (pack?.manifest.quantization !== quantization) return false;
  const source = await openSource(gguf);
  try {
    const { tensors } = planLayout(source.config, quantization, undefined, typesFor(source, quantization));
    return isDeepStrictEqual(pack.manifest.tensors, tensors);
  } finally {
    await source.close();
  }
}

/** SmolLM2's GGUF, or null when it was not fetched. */
export function fetchedSmollm2(): string | null {
  try {
    return smollm2Gguf();
  } catch {
    return null;
  }
}
