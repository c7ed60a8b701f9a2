import { ModelError } from '../model-error.ts';
import type { Manifest } from '../pack/manifest.ts';
import { parseManifest } from '../pack/reader.ts';
import type { Bucket } from './bucket.ts';
import { checkPrefix } from './push-pack.ts';

/** A pack in a bucket. */
export interface PackInBucket {
  prefix: string;
  bytes: number;
  /** Null for a pack without its manifest, whose upload has not ended; text says what is wrong with one that is there. */
  manifest: Manifest | null;
  problem: string | null;
}

const PACK_OBJECT = /^(.+)\/(manifest\.json|[a-z0-9]+(-[0-9]+)*\.bin)$/;

/** Every pack of a bucket, finished or not, by prefix. */
export async function listPacks(bucket: Bucket): Promise<PackInBucket[]> {
  const packs = new Map<string, { bytes: number; files: Map<string, number> }>();
  for (const { key, bytes } of await bucket.list('')) {
    const [, prefix, name] = PACK_OBJECT.exec(key) ?? [];
    if (prefix === undefined) continue;
    const pack = packs.get(prefix) ?? { bytes: 0, files: new Map() };
    packs.set(prefix, pack);
    pack.bytes += bytes;
    pack.files.set(name!, bytes);
  }
  return Promise.all([...packs].map(([prefix, { bytes, files }]) => describePack(bucket, prefix, bytes, files)));
}

async function describePack(bucket: Bucket, prefix: string, bytes: number, files: Map<string, number>): Promise<PackInBucket> {
  const text = files.has('manifest.json') ? await bucket.get(`${prefix}/manifest.json`) : null;
  if (!text) return { prefix, bytes, manifest: null, problem: 'not finished: it has no manifest' };
  try {
    const manifest = parseManifest(new TextDecoder().decode(text));
    const missing = [...manifest.files, ...(manifest.tokenizer ? [manifest.tokenizer] : [])].find(
      (file) => files.get(file.name) !== file.bytes,
    );
    return { prefix, bytes, manifest, problem: missing ? `${missing.name} is missing or has another size; push it again` : null };
  } catch (error) {
    return { prefix, bytes, manifest: null, problem: (error as Error).message };
  }
}

/** Removes a pack, finished or not, and nothing else under its prefix. The manifest goes first: no engine loads half a pack. Throws `ModelError` when there is none. */
export async function removePack(bucket: Bucket, prefix: string): Promise<{ files: number; bytes: number }> {
  checkPrefix(prefix);
  await bucket.abortUploads(`${prefix}/`);
  const objects = (await bucket.list(`${prefix}/`)).filter(({ key }) => PACK_OBJECT.exec(key)?.[1] === prefix);
  if (objects.length === 0) throw new ModelError(`There is no pack at ${prefix} in ${bucket.label}; see: list`);
  const manifest = `${prefix}/manifest.json`;
  if (objects.some(({ key }) => key === manifest)) await bucket.delete([manifest]);
  await bucket.delete(objects.map(({ key }) => key).filter((key) => key !== manifest));
  return { files: objects.length, bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0) };
}
