import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { runScript } from '../run-script.ts';

/**
 * `npm run build`: what a server of one's own needs, in dist/server, without node_modules:
 *
 *   bin/nearside    the program (Node 24)
 *   lib/            its modules, and the gateway for plain Node
 *   kernel/build/   the engine's WebAssembly
 *   gateway/        the gateway for workerd, as `wrangler deploy` would bundle it
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Says which Node is needed before an older one trips over what it does not know. */
const PROGRAM = `#!/usr/bin/env node
if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(\`nearside needs Node 24 or newer, and node is \${process.version} here: put a newer one first in PATH.\`);
  process.exit(1);
}
await import('../lib/nearside.mjs');
`;

/** Threads are started from a file, by name. */
const threadFile: Plugin = {
  name: 'thread-file',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/]node-team\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, 'utf8').replace("'node-team-member.ts'", "'node-team-member.mjs'");
      if (!contents.includes('node-team-member.mjs')) throw new Error(`${path} does not start node-team-member.ts any more.`);
      return { contents, loader: 'ts' };
    }),
};

/** @param folder is made anew */
export async function buildServer(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['lib', 'bin', 'kernel/build', 'gateway']) mkdirSync(join(folder, name), { recursive: true });
  await buildPrograms(join(folder, 'lib'));
  for (const name of readdirSync(join(ROOT, 'wasm/kernel/build')).filter((name) => name.endsWith('.wasm')))
    copyFileSync(join(ROOT, 'wasm/kernel/build', name), join(folder, 'kernel/build', name));
  buildGateway(join(folder, 'gateway'));
  const program = join(folder, 'bin/nearside');
  writeFileSync(program, PROGRAM);
  chmodSync(program, 0o755);
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  writeFileSync(
    join(folder, 'package.json'),
    `${JSON.stringify({ name: 'nearside', version, type: 'module', engines: { node: '>=24' } })}\n`,
  );
  cpSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
}

async function buildPrograms(folder: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: {
      nearside: 'scripts/server/nearside.ts',
      'node-gateway': 'worker/node/index.ts',
      'node-team-member': 'wasm/engine/node-team-member.ts',
    },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    // What two programs share, and what a command loads only when it needs it, become files of their own.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    alias: { 'cloudflare:workers': './scripts/server/cloudflare-workers.ts' },
    external: ['wrangler', 'miniflare'],
    plugins: [threadFile],
    logLevel: 'warning',
  });
}

function buildGateway(folder: string): void {
  const wrangler = join(ROOT, 'node_modules/wrangler/bin/wrangler.js');
  execFileSync(process.execPath, [wrangler, 'deploy', '--dry-run', '--config', 'wrangler.toml', '--outdir', folder], {
    cwd: ROOT,
    stdio: 'pipe',
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: 'true' },
  });
  for (const name of readdirSync(folder)) if (!name.endsWith('.js')) rmSync(join(folder, name));
  const toml = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  const compatibilityDate = /^compatibility_date = "(.*)"$/m.exec(toml)![1];
  const compatibilityFlags = JSON.parse(/^compatibility_flags = (\[.*\])$/m.exec(toml)![1]!);
  writeFileSync(join(folder, 'compatibility.json'), `${JSON.stringify({ compatibilityDate, compatibilityFlags })}\n`);
}

const HELP = `Usage: npm run build [-- FOLDER]

Builds what a server of one's own needs, without node_modules, into FOLDER (default: dist/server). A FOLDER that is there must be empty or an earlier build.`;

/** The folder is emptied: nobody shall lose another one by a slip of the keyboard. */
function refuseForeign(folder: string): void {
  const found = existsSync(folder) ? readdirSync(folder) : [];
  if (found.length === 0 || existsSync(join(folder, 'bin/nearside'))) return;
  throw new Error(`${folder} holds something else than a build; choose a new or an empty folder.`);
}

if (import.meta.main) {
  await runScript(
    HELP,
    async (_, [given, more]) => {
      if (more !== undefined) throw new Error(`Expected one FOLDER and got "${more}" too. See --help.`);
      const folder = resolve(given ?? join(ROOT, 'dist/server'));
      refuseForeign(folder);
      await buildServer(folder);
      console.log(`${folder}: start it with ${join(folder, 'bin/nearside')} --help`);
    },
    { allowPositionals: true },
  );
}
