import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { WeightType } from '../../models/pack/manifest.ts';
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

/** Packs a GGUF with our command line, once. Answers the pack's folder. */
export function benchPack(gguf: string, quantization: WeightType): string {
  const folder = join(BENCH_CACHE, `${basename(gguf, '.gguf')}.${quantization}.pack`);
  if (!existsSync(folder)) {
    note(`Packing ${basename(gguf)} as ${quantization}, this once`);
    mkdirSync(BENCH_CACHE, { recursive: true });
    rmSync(`${folder}.part`, { recursive: true, force: true });
    runNode([join(ROOT, 'models/cli/index.ts'), 'pack', gguf, `${folder}.part`, '--quant', quantization]);
    renameSync(`${folder}.part`, folder);
  }
  return folder;
}

/** SmolLM2's GGUF, or null when it was not fetched. */
export function fetchedSmollm2(): string | null {
  try {
    return smollm2Gguf();
  } catch {
    return null;
  }
}
