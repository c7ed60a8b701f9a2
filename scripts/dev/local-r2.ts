import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';

/** What is used of R2's binding; the Worker types are not for Node. */
interface Bucket {
  head(key: string): Promise<unknown>;
  put(key: string, value: Uint8Array): Promise<unknown>;
}

/**
 * Copies a pack into the local R2 bucket that `wrangler dev` serves, so that development loads it the way production does. A pack that is there already is
 * not copied again: its place is named after its manifest, which holds the checksums of all files and is written last.
 * @param configPath wrangler configuration with the bucket as MODELS. @param statePath wrangler's persistence folder
 * @returns the pack's name and its prefix in the bucket. @throws ModelError when `folder` is not a pack
 */
export async function copyPackToR2(
  folder: string,
  configPath: string,
  statePath: string,
  onCopy: (megabytes: number) => void,
): Promise<{ name: string; fixture: boolean; prefix: string }> {
  const { manifest } = await openPack(new FolderStorage(folder));
  const text = await readFile(join(folder, 'manifest.json'));
  const prefix = `local/${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  const { getPlatformProxy } = await import('wrangler');
  const proxy = await getPlatformProxy<{ MODELS: Bucket }>({ configPath, persist: { path: join(statePath, 'v3') }, envFiles: [] });
  try {
    const bucket = proxy.env.MODELS;
    if (!(await bucket.head(`${prefix}/manifest.json`))) {
      const files = [...manifest.files, ...(manifest.tokenizer ? [manifest.tokenizer] : [])];
      onCopy(files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6);
      // One file at a time: a file is at most 24 MiB, a pack has half a gigabyte.
      for (const { name } of files) await put(bucket, `${prefix}/${name}`, await readFile(join(folder, name)));
      await put(bucket, `${prefix}/manifest.json`, text);
    }
  } finally {
    await proxy.dispose();
  }
  return { name: manifest.name, fixture: manifest.fixture, prefix };
}

/** Tries again for a while: another development server of this checkout may hold the local bucket's database. */
async function put(bucket: Bucket, key: string, value: Uint8Array, attempts = 20): Promise<void> {
  try {
    await bucket.put(key, value);
  } catch (error) {
    if (attempts <= 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, 250));
    await put(bucket, key, value, attempts - 1);
  }
}
