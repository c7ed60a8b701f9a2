import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackLayout } from '../pack/layout.ts';
import type { PackFile } from '../pack/manifest.ts';
import { describeFile } from '../pack/writer.ts';

/** The weight files of a pack, written in whatever order their content arrives. */
export class PlacedWriter {
  readonly #folder: string;
  readonly #layout: PackLayout;
  readonly #handles = new Map<number, FileHandle>();
  readonly #unsynced = new Set<FileHandle>();

  constructor(folder: string, layout: PackLayout) {
    this.#folder = folder;
    this.#layout = layout;
  }

  async write(file: number, offset: number, bytes: Uint8Array): Promise<void> {
    const handle = this.#handles.get(file) ?? (await this.#open(file));
    for (let done = 0; done < bytes.length; ) {
      done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
    }
    this.#unsynced.add(handle);
  }

  /** Without truncating: what an earlier run wrote stays. */
  async #open(file: number): Promise<FileHandle> {
    const { name, bytes } = this.#layout.files[file]!;
    const path = join(this.#folder, name);
    const handle = await open(path, 'r+').catch(() => open(path, 'w+'));
    this.#handles.set(file, handle);
    await handle.truncate(bytes);
    return handle;
  }

  /** Returns when everything written is on the disk, so that a power cut cannot take what the state says is there. */
  async sync(): Promise<void> {
    await Promise.all([...this.#unsynced].map((handle) => handle.datasync()));
    this.#unsynced.clear();
  }

  /** Every file's line in the manifest, from its bytes as they are on disk. */
  async describe(): Promise<PackFile[]> {
    const files: PackFile[] = [];
    for (const { name } of this.#layout.files) files.push(describeFile(name, await readFile(join(this.#folder, name))));
    return files;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.close()));
    this.#handles.clear();
  }
}
