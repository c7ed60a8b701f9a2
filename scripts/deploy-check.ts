import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { usageSentence } from './run-script.ts';

const HELP = `Usage: npm run deploy:check

Builds the Workers as \`wrangler deploy --dry-run\` would send them and prints what Cloudflare limits: size after compression (10 MB on the paid
plan) and CPU time at start-up (1 s). Fails when a build fails or a limit is passed. Touches no account.
`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const WORKERS = [
  { name: 'nearside (gateway)', config: 'wrangler.toml', out: 'dist/gateway' },
  { name: 'nearside-edge (engine)', config: 'worker/edge/wrangler.toml', out: 'dist/edge' },
  { name: 'nearside-stage (a stage of a pipeline)', config: 'worker/edge/stage/wrangler.toml', out: 'dist/stage' },
  {
    name: 'nearside-edge-container (the engine in a container)',
    config: 'worker/edge/container/wrangler.toml',
    out: 'dist/edge-container',
  },
  { name: 'nearside-difficulty (off by default)', config: 'worker/difficulty/wrangler.toml', out: 'dist/difficulty' },
];
const MAX_GZIP_BYTES = 10_000_000;
const MAX_STARTUP_MS = 1000;

const execute = promisify(execFile);
const wrangler = (...args: string[]) =>
  execute(join(ROOT, 'node_modules/.bin/wrangler'), args, {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', NO_COLOR: '1' },
  });

/** Modules that are uploaded: source maps and wrangler's own README are not. */
function bundleFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && !/\.map$|README\.md$/.test(path));
}

/** Milliseconds a V8 CPU profile was not idle. */
function busyMs(profilePath: string): number {
  const profile = JSON.parse(readFileSync(profilePath, 'utf8')) as {
    nodes: { id: number; callFrame: { functionName: string } }[];
    samples: number[];
    timeDeltas: number[];
  };
  const idle = new Set(profile.nodes.filter((node) => node.callFrame.functionName === '(idle)').map((node) => node.id));
  return profile.samples.reduce((sum, id, i) => sum + (idle.has(id) ? 0 : profile.timeDeltas[i]!), 0) / 1000;
}

async function check(): Promise<boolean> {
  let failed = false;
  for (const { name, config, out } of WORKERS) {
    mkdirSync(join(ROOT, out), { recursive: true });
    // Images are not built: that takes a container engine.
    await wrangler('deploy', '--dry-run', '--containers-rollout=none', '--config', config, '--outdir', join(ROOT, out));
    const files = bundleFiles(join(ROOT, out)).map((path) => readFileSync(path));
    const bytes = files.reduce((sum, file) => sum + file.length, 0);
    const gzip = files.reduce((sum, file) => sum + gzipSync(file).length, 0);
    const profile = join(ROOT, `${out}.cpuprofile`);
    await wrangler('check', 'startup', '--config', config, '--outfile', profile);
    const startup = busyMs(profile);
    const ok = gzip <= MAX_GZIP_BYTES && startup <= MAX_STARTUP_MS;
    failed ||= !ok;
    console.log(
      `${ok ? 'ok  ' : 'FAIL'} ${name}: ${(bytes / 1e3).toFixed(0)} kB, ${(gzip / 1e3).toFixed(0)} kB gzip; start-up ${startup.toFixed(0)} ms CPU`,
    );
  }
  return !failed;
}

try {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } } });
  if (values.help) process.stdout.write(HELP);
  else process.exitCode = (await check()) ? 0 : 1;
} catch (error) {
  console.error(usageSentence(error) ?? error);
  process.exitCode = 1;
}
