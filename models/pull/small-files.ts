import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HubFile, Repository } from '../hub/hub.ts';
import { inOrder } from '../hub/in-order.ts';
import { ModelError } from '../model-error.ts';
import type { TransferOptions } from './arriving-file.ts';
import { PublishedHash } from './published-hash.ts';

/** No tokenizer comes near this; what is held in memory must have a bound. */
const MAX_BYTES = 256 << 20;

/**
 * Fetches the files of `paths` that the repository has into `folder`, whole, each checked against its published hash. A file that is there already and passes the
 * check is not fetched again. Throws `ModelError`.
 */
export async function fetchSmallFiles(repository: Repository, paths: string[], folder: string, transfer: TransferOptions): Promise<void> {
  for (const path of paths) {
    const file = repository.files.get(path);
    if (file) await fetchSmallFile(repository, file, join(folder, path), transfer);
  }
}

async function fetchSmallFile(
  repository: Repository,
  file: HubFile,
  to: string,
  { chunkBytes, connections, signal }: TransferOptions,
): Promise<void> {
  const present = await readFile(to).catch(() => null);
  if (present && (await problemOf(file, present)) === null) return;
  if (file.size > MAX_BYTES) throw new ModelError(`${file.path} has ${file.size} bytes, which is too large for what it should be.`);
  const remote = repository.open(file.path);
  const bytes = new Uint8Array(file.size);
  let at = 0;
  const read = (start: number, length: number, stop: AbortSignal) => remote.read(start, length, undefined, stop);
  for await (const chunk of inOrder(read, 0, file.size, { chunkBytes, connections, signal })) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  const problem = await problemOf(file, bytes);
  if (problem !== null) throw new ModelError(`${file.path} is damaged: ${problem}. Run the same command again to download it anew.`);
  await writeFile(`${to}.new`, bytes);
  await rename(`${to}.new`, to);
}

async function problemOf(file: HubFile, bytes: Uint8Array): Promise<string | null> {
  if (bytes.length !== file.size) return `it has ${bytes.length} bytes, and ${file.size} are published`;
  const hash = await PublishedHash.start(file);
  hash.update(bytes);
  return hash.problem();
}
