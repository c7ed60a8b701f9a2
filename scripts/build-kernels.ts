import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KERNEL_OPTIONS } from './kernel-options.ts';
import { runScript } from './run-script.ts';

const HELP = `npm run build:kernels -- [--check]

Builds wasm/kernel into wasm/kernel/build, from the same source: relaxed.wasm (relaxed SIMD) and simd.wasm (plain SIMD), and both once more for several
threads on a shared memory (Node).

  --check   builds into a temporary folder instead, and fails if a committed file differs by a byte`;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const built = join(root, 'wasm/kernel/build');
const compiler = join(dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')), 'bin/asc.js');

/** A shared memory needs a largest size: all that 32-bit addresses reach. */
const SHARED = ['--enable', 'threads', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
const BUILDS = [
  { file: 'relaxed.wasm', entry: 'index.ts', features: ['simd', 'relaxed-simd'], memory: [] },
  { file: 'simd.wasm', entry: 'index.ts', features: ['simd'], memory: [] },
  { file: 'relaxed-threads.wasm', entry: 'threads.ts', features: ['simd', 'relaxed-simd'], memory: SHARED },
  { file: 'simd-threads.wasm', entry: 'threads.ts', features: ['simd'], memory: SHARED },
];

function build(folder: string): void {
  for (const { file, entry, features, memory } of BUILDS) {
    const enable = features.flatMap((feature) => ['--enable', feature]);
    const options = [...KERNEL_OPTIONS, ...memory, ...enable, '--outFile', join(folder, file)];
    execFileSync(process.execPath, [compiler, `wasm/kernel/${entry}`, ...options], { cwd: root, stdio: 'inherit' });
  }
}

function check(): void {
  const folder = mkdtempSync(join(tmpdir(), 'nearside-kernels-'));
  try {
    build(folder);
    const stale = BUILDS.filter(({ file }) => !readFileSync(join(folder, file)).equals(readFileSync(join(built, file))));
    if (stale.length > 0)
      throw new Error(
        `wasm/kernel/build: ${stale.map(({ file }) => file).join(', ')} not built from the current source; run npm run build:kernels.`,
      );
    console.log('wasm/kernel/build is built from the current source.');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await runScript(
  HELP,
  async (values) => {
    if (values.check) return check();
    build(built);
    for (const { file } of BUILDS) console.log(`wasm/kernel/build/${file}: ${readFileSync(join(built, file)).length} bytes`);
  },
  { options: { check: { type: 'boolean' } } },
);
