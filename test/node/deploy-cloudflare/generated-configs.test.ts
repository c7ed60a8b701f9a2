import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { deploymentFiles } from '../../../scripts/deploy/files.ts';
import { loadDeployment } from '../../../scripts/deploy/load.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const ROOT = join(import.meta.dirname, '../../..');
const TOML = `name = "trial"
[model]
pack = "models/demo/pack"
[edge]
placement = "pipeline"
budget_mb = 16.6
regions = ["weur", "enam"]
[[origins]]
model = "big"
endpoints = [{ url = "https://gpu.example.com/v1", secret = "NEARSIDE_ORIGIN_KEY" }]
`;

it('wrangler takes every generated configuration with its bundle, as it would upload them', { timeout: 300_000 }, async () => {
  const folder = temporaryFolder();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'nearside.toml'), TOML);
  const { deployment } = await loadDeployment(ROOT, join(folder, 'nearside.toml'));
  const files = deploymentFiles(ROOT, folder);
  expect(deployment.scripts.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['stage', 'engine', 'gateway']));
  // All stages are alike.
  for (const script of deployment.scripts.filter(({ kind, name }) => kind !== 'stage' || name.endsWith('-0'))) {
    await files.bundle(deployment, script);
    const config = join(folder, await files.write(deployment, script));
    const outdir = join(dirname(config), 'out');
    const args = [join(ROOT, 'node_modules/wrangler/bin/wrangler.js'), 'deploy', '--dry-run', '--config', config, '--outdir', outdir];
    const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', NO_COLOR: '1', CI: 'true' };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env });
    expect(stderr).not.toMatch(/warning/i);
    expect(stdout).toContain('--dry-run: exiting now');
    for (const { name, class_name } of script.config.durable_objects!.bindings)
      expect(stdout).toMatch(new RegExp(`${name}.*${class_name}`));
    if (script.kind !== 'gateway') {
      expect(stdout).toContain('nearside-models');
      expect(stdout).toMatch(/simd.*\.wasm/);
    }
  }
});

it('the engine in a container is built from this checkout, with the pack of the settings', { timeout: 300_000 }, async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'nearside.toml'), 'name = "trial"\n[model]\npack = "models/demo/pack"\n[edge]\nplacement = "container"\n');
  const { deployment } = await loadDeployment(ROOT, join(folder, 'nearside.toml'));
  const files = deploymentFiles(ROOT, folder);
  const engine = deployment.scripts.find(({ kind }) => kind === 'engine')!;
  await files.bundle(deployment, engine);
  const config = join(folder, await files.write(deployment, engine));
  expect(JSON.parse(readFileSync(config, 'utf8')).containers).toMatchObject([
    { image: join(ROOT, 'deploy/container/Dockerfile'), image_build_context: join(ROOT), image_vars: { PACK: 'models/demo/pack' } },
  ]);
  const wrangler = join(ROOT, 'node_modules/wrangler/bin/wrangler.js');
  const args = ['deploy', '--dry-run', '--containers-rollout=none', '--config', config, '--outdir', join(folder, 'out')];
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', NO_COLOR: '1', CI: 'true' };
  const { stdout } = await promisify(execFile)(process.execPath, [wrangler, ...args], { cwd: ROOT, env });
  expect(stdout).toMatch(/EDGE_MODEL.*EdgeModel/);
  expect(stdout).toContain('deploy/container/Dockerfile');
});
