import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packModel } from '../../models/pack/pack-model.ts';

/** Packs a tiny random-weight model with a tokenizer and a chat template, which takes under a second. `remove` deletes it. */
export async function makeTinyPack(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'nearside-tiny-'));
  const gguf = join(root, 'tiny.gguf');
  execFileSync(process.execPath, [fileURLToPath(new URL('make-gguf.mjs', import.meta.url)), '--preset', 'tiny', '--type', 'f16', gguf]);
  const folder = join(root, 'pack');
  await packModel(gguf, folder, { quantization: 'q8_0', name: 'tiny-fixture', fixture: true });
  return { folder, remove: () => rm(root, { recursive: true }) };
}
