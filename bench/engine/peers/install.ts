import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BENCH_CACHE } from '../workerd.ts';

const FOLDER = join(BENCH_CACHE, 'peers');

/** npm packages that only benchmarks use, in a folder that git ignores. */
const PACKAGES = {
  'node-llama-cpp': ['node-llama-cpp@3.22.1', '@node-llama-cpp/linux-x64@3.22.1'],
  wllama: ['@wllama/wllama@3.8.1', 'playwright-core@1.65.1'],
  portkey: ['@portkey-ai/gateway@1.15.2'],
};

/** With a later one, Portkey answers every stream with "TypeError: immutable" (its issue 1389). */
const OVERRIDES = { '@hono/node-server': '1.12.2' };

/** Path of a file of an installed package. */
export const peerFile = (name: string): string => join(FOLDER, 'node_modules', name);

/** Installs a peer's packages unless they are there. Answers why it cannot run, or null when it can. */
export function installPeer(peer: keyof typeof PACKAGES): string | null {
  if (peer === 'node-llama-cpp' && (process.platform !== 'linux' || process.arch !== 'x64')) {
    return `its prebuilt package is named here for Linux on x64 only, and this is ${process.platform} on ${process.arch}`;
  }
  const missing = PACKAGES[peer].filter((name) => !existsSync(peerFile(name.slice(0, name.lastIndexOf('@')))));
  if (missing.length === 0) return null;
  process.stderr.write(`Installing ${PACKAGES[peer].join(' ')} into ${FOLDER}\n`);
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, 'package.json');
  const known = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { private: true, type: 'module' };
  writeFileSync(file, `${JSON.stringify({ ...known, overrides: OVERRIDES }, null, 2)}\n`);
  // Without scripts: node-llama-cpp's would look for a compiler. All optional packages are other platforms'.
  const options = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const run = spawnSync('npm', ['install', ...options, ...PACKAGES[peer]], { cwd: FOLDER, stdio: ['ignore', 2, 2] });
  return run.status === 0 ? null : `npm could not install ${PACKAGES[peer].join(' ')}`;
}

/** A Chromium to run pages in, from $CHROMIUM or the usual places, or null. */
export function findChromium(): string | null {
  const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  return places.find((path) => path && existsSync(path)) ?? null;
}
