import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError } from '../model-error.ts';
import { FolderStorage } from '../pack/folder-storage.ts';
import type { Manifest, PackFile } from '../pack/manifest.ts';
import { openPack } from '../pack/reader.ts';
import type { Bucket } from './bucket.ts';

export interface PushOptions {
  /** Where in the bucket; by default a place named after the pack and its content, so that no pack is ever overwritten by another. */
  prefix?: string;
  /** Files on their way at a time; each is in memory. */
  connections: number;
  /** Bytes that are there, and of all. Called first with 0, and not at all when there is nothing to do. */
  onProgress?: (done: number, total: number) => void;
}

export interface Pushed {
  manifest: Manifest;
  prefix: string;
  /** Bytes that were not there before. */
  sent: number;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Uploads the pack in `folder`. Files that are there already with the same SHA-256 are left alone, so a push that was killed goes on where it was, and pushing twice
 * does nothing. The manifest goes last: without it no engine loads a pack. Throws `ModelError` when a file does not match the manifest, and when `prefix`
 * holds another pack, which engines may be loading at this moment.
 */
export async function pushPack(
  folder: string,
  bucket: Bucket,
  { prefix, connections, onProgress = () => {} }: PushOptions,
): Promise<Pushed> {
  const { manifest } = await openPack(new FolderStorage(folder));
  const text = await readFile(join(folder, 'manifest.json'));
  const to = prefix === undefined ? defaultPrefix(manifest, sha256(text)) : checkPrefix(prefix);
  const present = await bucket.get(`${to}/manifest.json`);
  if (present && Buffer.compare(present, text) !== 0) {
    throw new ModelError(`${bucket.label} holds another pack at ${to}; choose another --prefix, or remove that one first: rm ${to}`);
  }
  const files = [...manifest.files, ...(manifest.tokenizer ? [manifest.tokenizer] : [])];
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  if (present && (await isComplete(bucket, to, files))) return { manifest, prefix: to, sent: 0 };
  await bucket.abortUploads(`${to}/`);
  let [done, sent] = [0, 0];
  onProgress(done, total);
  const rest = [...files];
  const work = async () => {
    for (let file = rest.shift(); file; file = rest.shift()) {
      if (await pushFile(folder, file, bucket, `${to}/${file.name}`)) sent += file.bytes;
      done += file.bytes;
      onProgress(done, total);
    }
  };
  const workers = Array.from({ length: connections }, work);
  await Promise.all(workers).catch(async (error) => {
    rest.length = 0;
    await Promise.allSettled(workers);
    throw error;
  });
  if (!present) await bucket.put(`${to}/manifest.json`, text, sha256(text));
  return { manifest, prefix: to, sent };
}

/** All files are there with their size. They were put there by their hashes, before the manifest. */
async function isComplete(bucket: Bucket, prefix: string, files: PackFile[]): Promise<boolean> {
  const sizes = new Map((await bucket.list(`${prefix}/`)).map(({ key, bytes }) => [key, bytes]));
  return files.every((file) => sizes.get(`${prefix}/${file.name}`) === file.bytes);
}

/** Answers whether the file had to be sent. */
async function pushFile(folder: string, file: PackFile, bucket: Bucket, key: string): Promise<boolean> {
  const present = await bucket.head(key);
  if (present?.bytes === file.bytes && present.sha256 === file.sha256) return false;
  const bytes = await readFile(join(folder, file.name)).catch((cause) => {
    throw new ModelError(`${file.name} is missing from the pack.`, { cause });
  });
  if (sha256(bytes) !== file.sha256) throw new ModelError(`${file.name} is damaged: its SHA-256 does not match the manifest.`);
  await bucket.put(key, bytes, file.sha256);
  return true;
}

/** A place named after the pack and its content. @param hash SHA-256 of the manifest, hex */
export const defaultPrefix = ({ name, quantization }: Manifest, hash: string): string =>
  `${name.replace(/[^\w.-]+/g, '-').replace(/^\.+/, '')}-${quantization}-${hash.slice(0, 8)}`;

/** Throws `ModelError` unless `prefix` is one or more plain names with slashes between them. */
export function checkPrefix(prefix: string): string {
  const parts = prefix.split('/');
  if (parts.every((part) => /^[\w.-]+$/.test(part) && !/^\.+$/.test(part))) return prefix;
  throw new ModelError(`"${prefix}" cannot be a prefix: use letters, digits, "-", "_" and ".", in parts with a slash between them.`);
}
