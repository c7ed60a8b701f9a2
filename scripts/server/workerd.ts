import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { UsageError } from '../edge-node/usage-error.ts';
import type { Settings } from './settings.ts';

export interface WorkerdStart {
  /** The program. */
  binary: string;
  /** Text of its configuration. */
  config: string;
  settings: Settings;
  /** A socket that listens, taken instead of the configuration's address. */
  socketFd: number;
}

/** One workerd process. Its logs are this process's. */
export class Workerd {
  readonly #child: ChildProcess;
  readonly #folder: string;
  /** Resolves when it is gone, however that came; with why, where the program could not even be run. */
  readonly exited: Promise<NodeJS.ErrnoException | undefined>;
  #drained: Promise<void> | null = null;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.exited = new Promise((resolve) => {
      child.once('error', resolve);
      child.once('exit', () => resolve(undefined));
    });
    // A workerd that outlived this process would keep its socket.
    const end = () => this.kill();
    process.on('exit', end);
    this.exited.then(() => {
      process.off('exit', end);
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  /** Resolves when it listens. Throws when it ends before that, after it has said why on stderr. */
  static async start({ binary, config, settings, socketFd }: WorkerdStart): Promise<Workerd> {
    const folder = mkdtempSync(join(tmpdir(), 'nearside-gateway-'));
    const file = join(folder, 'gateway.capnp');
    writeFileSync(file, config);
    const args = ['serve', file, '--import-path=/', '--control-fd=3', '--socket-fd=http=4'];
    const child = spawn(binary, args, {
      // A terminal's Ctrl-C is passed on from here, as a request to finish.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'pipe', socketFd],
      env: { ...withoutSettings(process.env), ...settings },
    });
    const workerd = new Workerd(child, folder);
    const listens = await Promise.race([listening(child.stdio[3] as Readable), workerd.exited.then(() => false)]);
    if (!listens) throw neverListened(binary, await workerd.exited);
    return workerd;
  }

  /** Has it take no more requests, end those that run within `limitMs`, and exit. Once told so, it keeps to the first limit. */
  drain(limitMs: number): Promise<void> {
    this.#drained ??= this.#drain(limitMs);
    return this.#drained;
  }

  async #drain(limitMs: number): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), limitMs);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

function neverListened(binary: string, failure: NodeJS.ErrnoException | undefined): UsageError {
  if (!failure) return new UsageError('workerd has ended before it listened: it says why above.');
  return new UsageError(`${binary} cannot be run (${failure.code}): set NEARSIDE_WORKERD to a workerd program, or use --runtime node.`);
}

/** workerd tells on its control file, in lines of JSON, that it listens. */
async function listening(control: Readable): Promise<boolean> {
  for await (const line of createInterface(control)) if (JSON.parse(line).event.startsWith('listen')) return true;
  return false;
}

const withoutSettings = (environment: NodeJS.ProcessEnv) =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('NEARSIDE_')));
