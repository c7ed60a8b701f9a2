import { createHash } from 'node:crypto';
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DEFAULT_RETRY, type RetryPolicy, withRetries } from '../hub/patience.ts';
import { readText } from '../hub/read-body.ts';
import { RemoteFile } from '../hub/remote-file.ts';
import { type Connection, DEFAULT_IDLE_MS, request } from '../hub/request.ts';
import { ModelError } from '../model-error.ts';
import type { Manifest, PackFile } from '../pack/manifest.ts';
import { parseManifest } from '../pack/reader.ts';
import { explainFullDisk, requireSpace } from './disk-space.ts';
import { PartialFolder } from './partial-folder.ts';

export interface PullPackOptions {
  fetch?: typeof fetch;
  /** Milliseconds after which a connection that brings nothing is given up. */
  idleMs?: number;
  retry?: Partial<RetryPolicy>;
  /** Files fetched at a time. */
  connections: number;
  onProgress: (done: number, total: number) => void;
  /** Called at the start when an earlier run left something. */
  onResume?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Downloads a finished pack from a web server into the new folder `out`: `base`/manifest.json and the files it names, each checked against its size and SHA-256.
 * Files that an earlier run brought whole are not fetched again. Throws `ModelError`.
 */
export async function pullPack(base: string, out: string, options: PullPackOptions): Promise<Manifest> {
  const folder = resolve(out);
  if (await stat(folder).catch(() => null)) throw new ModelError(`${out} exists already; remove it or choose another OUT.`);
  const root = checkAddress(base);
  const connection: Connection = { fetch: options.fetch ?? fetch, credential: null, idleMs: options.idleMs ?? DEFAULT_IDLE_MS };
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  const text = await fetchText(`${root}/manifest.json`, connection, retry, options.signal);
  const manifest = parseManifest(text);
  const partial = await PartialFolder.open(`${folder}.partial`, { pack: sha256(text) });
  try {
    const open = (file: PackFile) =>
      new RemoteFile({ name: file.name, url: `${root}/${file.name}`, size: file.bytes, sha256: file.sha256, connection, retry });
    await fetchFiles([...manifest.files, ...(manifest.tokenizer ? [manifest.tokenizer] : [])], partial.pack, open, options);
    await writeFile(join(partial.pack, 'manifest.json'), text, { flush: true });
    await rename(partial.pack, folder);
    await partial.remove();
    return manifest;
  } catch (error) {
    throw explainFullDisk(error);
  } finally {
    await partial.release();
  }
}

/** Whoever can change bytes on the way can change the manifest with its hashes too, so only https will do, except on this machine. */
function checkAddress(base: string): string {
  const url = URL.parse(base);
  const local = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (!url || !(url.protocol === 'https:' || (url.protocol === 'http:' && local))) {
    throw new ModelError(`A pack is pulled from an https:// address, and "${base}" is not one.`);
  }
  return url.href.replace(/\/(manifest\.json)?$/, '');
}

async function fetchText(url: string, connection: Connection, retry: RetryPolicy, signal?: AbortSignal): Promise<string> {
  return withRetries(retry, signal, async () => {
    const { response } = await request(url, url, connection, {}, signal);
    return readText(url, response, connection.idleMs, signal);
  });
}

async function fetchFiles(
  files: PackFile[],
  folder: string,
  open: (file: PackFile) => RemoteFile,
  { connections, onProgress, onResume, signal }: PullPackOptions,
): Promise<void> {
  const missing: PackFile[] = [];
  for (const file of files) if (!(await isPresent(join(folder, file.name), file))) missing.push(file);
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const needed = missing.reduce((sum, file) => sum + file.bytes, 0);
  await requireSpace(dirname(folder), needed);
  let done = total - needed;
  if (done > 0) onResume?.(done, total);
  onProgress(done, total);
  const count = (bytes: number) => {
    done += bytes;
    onProgress(done, total);
  };
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const work = async () => {
    for (let file = missing.shift(); file; file = missing.shift()) await fetchFile(open(file), file, folder, count, either);
  };
  const workers = Array.from({ length: connections }, work);
  await Promise.all(workers).catch(async (error) => {
    stop.abort();
    await Promise.allSettled(workers);
    throw error;
  });
}

async function isPresent(path: string, file: PackFile): Promise<boolean> {
  const bytes = await readFile(path).catch(() => null);
  return bytes !== null && bytes.length === file.bytes && sha256(bytes) === file.sha256;
}

async function fetchFile(
  remote: RemoteFile,
  file: PackFile,
  folder: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const bytes = await remote.read(0, file.bytes, onBytes, signal);
  if (sha256(bytes) !== file.sha256) {
    throw new ModelError(`${file.name} is damaged on the server: its SHA-256 does not match the manifest.`);
  }
  await writeFile(join(folder, file.name), bytes);
}
