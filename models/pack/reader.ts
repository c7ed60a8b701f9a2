import { ModelError } from '../model-error.ts';
import { checksum } from './checksum.ts';
import { type Manifest, manifestSchema, type PackFile } from './manifest.ts';
import { placeProblems } from './places.ts';
import type { PackStorage } from './storage.ts';

/** An opened pack: its checked manifest and its files. */
export interface Pack {
  manifest: Manifest;
  storage: PackStorage;
  /** A whole file with its size and checksum checked. Throws `ModelError` when they differ. */
  file(file: PackFile): Promise<Uint8Array>;
}

/** Reads and checks a pack's manifest. Throws `ModelError` when it is none, or of another version, or inconsistent. */
export async function openPack(storage: PackStorage): Promise<Pack> {
  const manifest = parseManifest(await storage.manifest());
  return { manifest, storage, file: (file) => readChecked(storage, file) };
}

async function readChecked(storage: PackStorage, file: PackFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(file.bytes);
  await storage.read(file.name, bytes);
  if (checksum(bytes) !== file.checksum) throw new ModelError(`${file.name} is damaged: its checksum does not match the manifest.`);
  return bytes;
}

/** Names of pack files; nothing else may be asked of a storage, least of all a path. */
const FILE_NAME = /^[a-z0-9]+(-[0-9]+)*\.bin$/;

/** Parses the text of `manifest.json`. Throws `ModelError` with the first thing that is wrong. */
export function parseManifest(text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ModelError('manifest.json is not valid JSON.', { cause });
  }
  const { format, version } = (json ?? {}) as { format?: unknown; version?: unknown };
  if (format !== 'nearside-pack') throw new ModelError('manifest.json is not the manifest of a Nearside pack.');
  if (version !== 1)
    throw new ModelError(`The pack has format version ${version}, and this program reads version 1; pack the model again.`);
  const result = manifestSchema.safeParse(json);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new ModelError(`manifest.json is not usable: ${issue?.path.join('.')}: ${issue?.message}.`);
  }
  const manifest = result.data;
  const badName = [...manifest.files, ...(manifest.tokenizer ? [manifest.tokenizer] : [])].find((file) => !FILE_NAME.test(file.name));
  if (badName) throw new ModelError(`manifest.json names a file "${badName.name}", which no pack has.`);
  const [problem] = placeProblems(manifest);
  if (problem) throw new ModelError(problem);
  return manifest;
}
