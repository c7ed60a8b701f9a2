import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import { openPack } from '../../models/pack/reader.ts';
import { openLocalBucket } from '../../models/r2/local-bucket.ts';
import { pushPack } from '../../models/r2/push-pack.ts';

/**
 * Copies a pack into the local R2 bucket that `wrangler dev` serves, so that development loads it the way production does. A pack that is there already is
 * not copied again: its place is named after its manifest, which holds the checksums of all files.
 * @param configPath wrangler configuration with the bucket as MODELS. @param statePath wrangler's persistence folder. @param onCopy called before copying, if there is something to copy
 * @returns the pack's name and its prefix in the bucket. @throws ModelError when `folder` is not a pack
 */
export async function copyPackToR2(
  folder: string,
  configPath: string,
  statePath: string,
  onCopy: (megabytes: number) => void,
): Promise<{ name: string; fixture: boolean; prefix: string; manifest: Manifest }> {
  // Before the bucket is opened, which takes a second: a folder that is no pack is a common mistake.
  await openPack(new FolderStorage(folder));
  const text = await readFile(join(folder, 'manifest.json'));
  const prefix = `local/${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  const bucket = await openLocalBucket(await bucketName(configPath), statePath);
  try {
    const onProgress = (done: number, total: number) => {
      if (done === 0) onCopy(total / 1e6);
    };
    const { manifest } = await pushPack(folder, bucket, { prefix, connections: 1, onProgress });
    return { name: manifest.name, fixture: manifest.fixture, prefix, manifest };
  } finally {
    await bucket.close();
  }
}

async function bucketName(configPath: string): Promise<string> {
  const { unstable_readConfig: readConfig } = await import('wrangler');
  return readConfig({ config: configPath }).r2_buckets.find((bucket: { binding: string }) => bucket.binding === 'MODELS')!.bucket_name!;
}
