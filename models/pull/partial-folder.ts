import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
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
  /** To be raised when the same source gives other bytes in a pack: then what an older program has packed is of no use. */
  version: 1;
  /** What is being pulled: progress counts only for the same thing. */
  identity: Record<string, unknown>;
  files: Record<string, FileProgress>;
}

/**
 * The folder `OUT.partial` of a pull that has not ended. It holds `pack/` (weight files, filled in no particular order, without a manifest), `source/` (small
 * files, and with --keep all of them), `heads/` (beginnings of weight files), `calibrated/` (of a pull with calibration: the q4_0 pack, made at the end of the q8_0 weights in `pack/`), and
 * `state.json`, replaced as a whole each time.
 */
export class PartialFolder {
  readonly path: string;
  /** Lets another process have the folder. */
  readonly release: () => Promise<void>;
  #state: State;

  private constructor(path: string, state: State, release: () => Promise<void>) {
    this.path = path;
    this.#state = state;
    this.release = release;
  }

  /**
   * Takes the folder for this process, and empties it when it belongs to another pull.
   * Throws `ModelError` when another process is at work on it.
   * @param observeMs how long to watch a lock whose owner may have gone
   */
  static async open(path: string, identity: Record<string, unknown>, observeMs = OBSERVE_MS): Promise<PartialFolder> {
    await mkdir(path, { recursive: true });
    const release = await lock(join(path, 'lock'), observeMs);
    const found = parseState(await readFile(join(path, 'state.json'), 'utf8').catch(() => ''));
    const same = found !== null && JSON.stringify(found.identity) === JSON.stringify(identity);
    const folder = new PartialFolder(path, same ? found : { version: 1, identity, files: {} }, release);
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

  get calibrated(): string {
    return join(this.path, 'calibrated');
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

  /** Removes what is left once the pack has moved out. */
  async remove(): Promise<void> {
    await this.release();
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

/** The owner of a lock touches it this often. */
const BEAT_MS = 1000;
/** Without a touch for so long it has no owner, whatever process has the owner's number by now. */
const OBSERVE_MS = 8000;

/** Takes the lock, which holds its owner's process id. One that a killed process left binds nobody. Answers how to give it back. */
async function lock(path: string, observeMs: number): Promise<() => Promise<void>> {
  const owner = Number(await readFile(path, 'utf8').catch(() => ''));
  if (owner && isAlive(owner) && (await isTouched(path, observeMs))) {
    throw new ModelError(`Process ${owner} is at work on this already; wait for it, or choose another OUT.`);
  }
  await rm(path, { force: true });
  await writeFile(path, String(process.pid), { flag: 'wx' }).catch((cause) => {
    throw new ModelError('Another process has just started on this; choose another OUT.', { cause });
  });
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), BEAT_MS).unref();
  return async () => {
    clearInterval(beat);
    await rm(path, { force: true });
  };
}

async function isTouched(path: string, observeMs: number): Promise<boolean> {
  const touched = async () => (await stat(path).catch(() => null))?.mtimeMs;
  const before = await touched();
  for (const end = Date.now() + observeMs; Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, BEAT_MS / 4));
    if ((await touched()) !== before) return true;
  }
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
