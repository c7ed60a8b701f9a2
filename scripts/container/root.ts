import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Image } from './dockerfile.ts';

/**
 * Puts together what is in an image: what its Dockerfile copies, and of its base image no more than `env`, and the libraries that the two programs are linked with.
 * @param root an empty folder
 * @param context what is copied from the repository comes from here
 * @param built where paths of the build stage are on this machine
 */
export function assemble(root: string, image: Image, context: string, built: (path: string) => string): void {
  for (const { from, source, target } of image.copies) {
    const path = from === null ? join(context, source) : built(source);
    if (!existsSync(path)) throw new Error(`${source}, which the image copies, is not there.`);
    copy(path, join(root, target));
  }
  const env = '/usr/bin/env';
  copy(env, join(root, env));
  for (const program of [env, built('/usr/local/bin/node')]) for (const library of librariesOf(program)) copy(library, join(root, library));
  mkdirSync(join(root, 'tmp'), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(realpathSync(from), to, { recursive: true, dereference: true });
}

function librariesOf(program: string): string[] {
  return [...execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
}

/** Peak of the resident memory of a process, bytes; 0 when it is gone. */
export function peakResident(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
