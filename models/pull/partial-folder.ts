import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError } from '../model-error.ts';

/** How far one file has been taken in. Everything before `position` is in the pack's files. */
export interface FileProgress {
  position: number;
  /** State of the file's hash at `position`, base64. */
  hash: string;
  /** SHA-256 of the head that said what the bytes before `position` are. */
  head: string;
}

interface State {
  version: 1;
  /** What is being pulled: progress counts only for the same thing. */
  identity: Record<string, unknown>;
  files: Record<string, FileProgress>;
}

/**
 * The folder `OUT.partial` of a pull that has not ended. It holds `pack/` (weight files, filled in no particular order, without a manifest), `source/` (small
 * files, and with --keep all of them), `heads/` (beginnings of weight files), and `state.json`, replaced as a whole each time.
 */
export class PartialFolder {
  readonly path: string;
  #state: State;

  private constructor(path: string, state: State) {
    this.path = path;
    this.#state = state;
  }

  /**
   * Takes the folder for this process, and empties it when it belongs to another pull.
   * Throws `ModelError` when another process is at work on it.
   */
  static async open(path: string, identity: Record<string, unknown>): Promise<PartialFolder> {
    await mkdir(path, { recursive: true });
    await lock(join(path, 'lock'));
    const found = parseState(await readFile(join(path, 'state.json'), 'utf8').catch(() => ''));
    const same = found !== null && JSON.stringify(found.identity) === JSON.stringify(identity);
    const folder = new PartialFolder(path, same ? found : { version: 1, identity, files: {} });
    if (!same) {
      for (const part of [folder.pack, folder.source, folder.heads]) await rm(part, { recursive: true, force: true });
    }
    for (const part of [folder.pack, folder.source, folder.heads]) await mkdir(part, { recursive: true });
    await folder.#save();
    return folder;
  }

  get pack(): string {
    return join(this.path, 'pack');
  }

  get source(): string {
    return join(this.path, 'source');
  }

  get heads(): string {
    return join(this.path, 'heads');
  }

  progress(file: string): FileProgress | null {
    return this.#state.files[file] ?? null;
  }

  /** Null: start the file anew. */
  async setProgress(file: string, progress: FileProgress | null): Promise<void> {
    if (progress) this.#state.files[file] = progress;
    else delete this.#state.files[file];
    await this.#save();
  }

  async #save(): Promise<void> {
    const path = join(this.path, 'state.json');
    await writeFile(`${path}.new`, JSON.stringify(this.#state), { flush: true });
    await rename(`${path}.new`, path);
  }

  /** Lets another process have the folder. */
  async release(): Promise<void> {
    await rm(join(this.path, 'lock'), { force: true });
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

function parseState(text: string): State | null {
  try {
    const state = JSON.parse(text) as State;
    return state.version === 1 ? state : null;
  } catch {
    return null;
  }
}

/** The lock holds the owner's process id, so that one left by a killed process binds nobody. */
async function lock(path: string): Promise<void> {
  const owner = Number(await readFile(path, 'utf8').catch(() => ''));
  if (owner && owner !== process.pid && isAlive(owner))
    throw new ModelError(`Process ${owner} is at work on this already; wait for it, or choose another OUT.`);
  await rm(path, { force: true });
  const file = await open(path, 'wx').catch((cause) => {
    throw new ModelError('Another process has just started on this; choose another OUT.', { cause });
  });
  await file.writeFile(String(process.pid));
  await file.close();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
