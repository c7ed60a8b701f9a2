import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { packModel } from '../../models/pack/pack-model.ts';

/** Packs a tiny random-weight model with a tokenizer; tests get its files as base64, because nothing in workerd can make one. */
export default async function setup({ provide }: TestProject): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'nearside-edge-'));
  try {
    const gguf = join(folder, 'tiny.gguf');
    const generator = fileURLToPath(new URL('../support/make-gguf.mjs', import.meta.url));
    execFileSync(process.execPath, [generator, '--preset', 'tiny', '--type', 'f16', gguf]);
    const out = join(folder, 'pack');
    await packModel(gguf, out, { quantization: 'q8_0', name: 'tiny-fixture', fixture: true });
    const names = await readdir(out);
    const files = await Promise.all(names.map(async (name) => [name, (await readFile(join(out, name))).toString('base64')] as const));
    provide('edgePack' as never, Object.fromEntries(files) as never);
  } finally {
    await rm(folder, { recursive: true });
  }
}
