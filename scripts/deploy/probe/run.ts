import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Account } from '../account.ts';
import { openCloudflare } from '../cloudflare-account.ts';
import { ROOT } from '../commands.ts';
import { DeployError } from '../deploy-error.ts';
import { runWrangler } from '../wrangler.ts';
import type { WranglerConfig } from '../wrangler-config.ts';
import { askOver, startLocalProbe } from './local.ts';
import { type Ask, describeFigures, measure } from './measure.ts';

const HELP = `npm run deploy -- probe [--local] [--bucket NAME]

Deploys three small Workers (nearside-probe, -a and -b), measures with them what docs/pipeline.md calls unproven, prints a table and removes them: whether objects
of different scripts share an isolate, how long a hop between them takes, whether relaxed SIMD is there and how fast it is, how much memory an object gets, and
how fast R2 is read. Costs a few cents at most.

  --local         in a local workerd instead: what the table looks like, not what Cloudflare is like
  --bucket NAME   a bucket that is there, to read from (default nearside-models); one object is written and removed`;

const SCRIPT = 'nearside-probe';
/** A new workers.dev address is known everywhere after a while. */
const REACHABLE_WITHIN_MS = 60_000;

/** @param signal stops between steps; what was deployed is removed all the same */
export async function probe(args: string[], signal: AbortSignal): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) return console.log(HELP);
  const { values } = parseArgs({ args, options: { local: { type: 'boolean' }, bucket: { type: 'string', default: 'nearside-models' } } });
  const folder = await mkdtemp(join(tmpdir(), 'nearside-probe-'));
  try {
    const bundle = await buildProbe(folder);
    if (values.local) await probeHere(bundle);
    else await probeAccount(openCloudflare({ root: ROOT, env: process.env, accountId: null }), folder, values.bucket, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns the folder of the bundle */
export async function buildProbe(folder: string): Promise<string> {
  const bundle = join(folder, 'bundle');
  const config = join(ROOT, 'deploy/cloudflare/probe/wrangler.toml');
  const { code, output } = await runWrangler(ROOT, ['deploy', '--dry-run', '--config', config, '--outdir', bundle]);
  if (code !== 0) throw new DeployError(`The probe does not build:\n${output.trim()}`);
  for (const name of await readdir(bundle)) if (/\.map$|^README\.md$/.test(name)) await rm(join(bundle, name));
  return bundle;
}

async function probeHere(bundle: string): Promise<void> {
  const { ask, stop } = await startLocalProbe(bundle);
  try {
    const figures = await measure(ask, 'local', { mostMb: 192, hops: 30 });
    for (const line of describeFigures(figures, 'in a local workerd, which has one process and no limits')) console.log(line);
  } finally {
    await stop();
  }
}

/** The configurations, in the order in which each finds what it refers to. */
export function probeConfigs(bucket: string | null): WranglerConfig[] {
  const object = (name: string, script: string) => ({ name, class_name: 'Probe', script_name: `${SCRIPT}-${script}` });
  const config = (name: string, bindings: ReturnType<typeof object>[]) => ({
    name,
    main: '../bundle/worker.js',
    ...{
      no_bundle: true,
      find_additional_modules: true,
      compatibility_date: '2026-11-02',
      workers_dev: name === SCRIPT,
      preview_urls: false,
    },
    durable_objects: { bindings: [{ name: 'SELF', class_name: 'Probe' }, ...bindings] },
    migrations: [{ tag: 'v1', new_sqlite_classes: ['Probe'] }],
  });
  const front = config(SCRIPT, [object('A', 'a'), object('B', 'b')]);
  return [
    config(`${SCRIPT}-b`, []),
    config(`${SCRIPT}-a`, [object('B', 'b')]),
    bucket === null ? front : { ...front, r2_buckets: [{ binding: 'MODELS', bucket_name: bucket }] },
  ];
}

async function probeAccount(account: Account, folder: string, bucket: string, signal: AbortSignal): Promise<void> {
  const { name } = await account.whoami();
  const key = randomBytes(24).toString('hex');
  const configs = probeConfigs((await account.hasBucket(bucket)) ? bucket : null);
  try {
    for (const config of configs) {
      if (signal.aborted) throw new DeployError('Stopped.');
      const path = join(folder, config.name!);
      await mkdir(path);
      await writeFile(join(path, 'wrangler.json'), JSON.stringify(config));
      await account.deployScript(join(path, 'wrangler.json'), config.name === SCRIPT ? { PROBE_KEY: key } : {});
      console.log(`${config.name}: deployed.`);
    }
    const ask = askOver(fetch, `https://${SCRIPT}.${await account.subdomain()}.workers.dev`, key);
    await untilReachable(ask, signal);
    const figures = await measure(ask, randomBytes(4).toString('hex'), { mostMb: 256, hops: 30 });
    for (const line of describeFigures(figures, `on the account ${name}, ${new Date().toISOString()}`)) console.log(line);
  } finally {
    for (const config of configs.toReversed()) await account.deleteScript(config.name!);
    console.log('The probe Workers have been removed.');
  }
}

async function untilReachable(ask: Ask, signal: AbortSignal): Promise<void> {
  const until = Date.now() + REACHABLE_WITHIN_MS;
  for (;;) {
    const error = await ask('release', { run: 'start' }).then(
      () => null,
      (reason: Error) => reason,
    );
    if (!error) return;
    if (Date.now() > until || signal.aborted) throw new DeployError(`The probe Worker cannot be reached: ${error.message}`);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}
