import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../../models/pack/reader.ts';
import { describeDeployment } from '../../../scripts/deploy/describe.ts';
import { isVersioned, versionOf } from '../../../scripts/deploy/plan.ts';
import { deploymentOf, settingsOf } from '../../support/deployment.ts';

const manifest = parseManifest(readFileSync(join(import.meta.dirname, '../../../models/demo/pack/manifest.json'), 'utf8'));
const PIPELINE = '[edge]\nplacement = "pipeline"\nbudget_mb = 16.6\n';
const script = (toml: string, kind: string) => deploymentOf(manifest, toml).scripts.find((found) => found.kind === kind)!.config;

describe('planDeployment', () => {
  it('gives another version to another pack, plan, number of sessions or code, and to nothing else', () => {
    const { version, gatewayHash } = deploymentOf(manifest, PIPELINE);
    const [weight, ...rest] = manifest.files;
    const otherPack = { ...manifest, files: [{ ...weight!, checksum: weight!.checksum + 1 }, ...rest] };
    for (const other of [
      deploymentOf(otherPack, PIPELINE),
      deploymentOf(manifest, `${PIPELINE}sessions = 3`),
      deploymentOf(manifest, `${PIPELINE}context = 256`),
      deploymentOf(manifest, PIPELINE, { engineSources: 'other' }),
      deploymentOf(manifest, PIPELINE, { prefix: 'pack-2' }),
    ])
      expect(other.version).not.toBe(version);
    const gateway = deploymentOf(manifest, `${PIPELINE}regions = ["weur"]\nreplicas = 2`);
    expect(gateway.version).toBe(version);
    expect(gateway.gatewayHash).not.toBe(gatewayHash);
    expect(deploymentOf(manifest, PIPELINE)).toEqual(deploymentOf(manifest, PIPELINE));
  });

  it('binds the engine to the stages of its own version, and the gateway to that engine', () => {
    const { version, scripts, memory } = deploymentOf(manifest, PIPELINE);
    const engine = scripts.find(({ kind }) => kind === 'engine')!;
    const bound = engine.config
      .durable_objects!.bindings.filter(({ name }) => name.startsWith('STAGE_'))
      .map((binding) => binding.script_name);
    expect(bound).toEqual(memory.stages.map((_, stage) => `nearside-stage-${version}-${stage}`));
    expect(bound).toEqual(scripts.filter(({ kind }) => kind === 'stage').map(({ name }) => name));
    expect(scripts.at(-1)!.config.durable_objects!.bindings[0]).toMatchObject({ name: 'EDGE_MODEL', script_name: engine.name });
    const plans = scripts.filter(({ kind }) => kind !== 'gateway').map(({ config }) => config.vars!.NEARSIDE_EDGE_PLAN);
    expect(new Set(plans).size).toBe(1);
  });

  it('keeps what the committed configurations say, and adds what is set', () => {
    const gateway = script(`${PIPELINE}regions = ["weur", "apac"]\nreplicas = 2\n[gateway]\ndomain = "api.example.com"`, 'gateway');
    expect(gateway).toMatchObject({
      compatibility_date: '2026-11-02',
      workers_dev: false,
      routes: [{ pattern: 'api.example.com', custom_domain: true }],
    });
    expect(gateway.vars).toMatchObject({ NEARSIDE_EDGE_REGIONS: 'weur,apac', NEARSIDE_EDGE_REPLICAS: '2' });
    expect(JSON.parse(gateway.vars!.NEARSIDE_EDGE_PRICE as string).objects).toBeGreaterThan(2);
    expect(script(PIPELINE, 'engine').vars).toMatchObject({ NEARSIDE_EDGE_STALL_MS: '30000', NEARSIDE_EDGE_PACK: 'pack-1' });
    expect(script('', 'gateway').vars).not.toHaveProperty('NEARSIDE_EDGE_REGIONS');
    // The demo model's files are for development.
    expect(script('', 'engine')).not.toHaveProperty('assets');
  });

  it('puts a model that fits one isolate into one, and says so', () => {
    const deployment = deploymentOf(manifest, '[edge]\nplacement = "pipeline"');
    expect(deployment.scripts.map(({ kind }) => kind)).toEqual(['engine', 'gateway']);
    expect(describeDeployment(deployment, settingsOf()).join('\n')).toContain('fits one isolate');
  });

  it('refuses what does not fit, and says what would', () => {
    expect(() => deploymentOf(manifest, '[edge]\nbudget_mb = 16.6')).toThrow(/does not fit one isolate of 17 MB.*pipeline/);
    expect(() => deploymentOf(manifest, '[edge]\nplacement = "pipeline"\nbudget_mb = 9')).toThrow(/Layer 0 does not fit/);
  });

  it('refuses a variable that the platform would not take', () => {
    const endpoints = Array.from(
      { length: 60 },
      (_, i) => `{ name = "gpu-${i}", url = "https://gpu-${i}.example.com/very/long/path/of/an/endpoint/v1" }`,
    );
    const toml = `[[origins]]\nmodel = "big"\nendpoints = [${endpoints.join(', ')}]`;
    expect(() => deploymentOf(manifest, toml)).toThrow(/NEARSIDE_ORIGINS of nearside would have .* KV/);
  });

  it('shows all that will be there', () => {
    const deployment = deploymentOf(manifest, PIPELINE);
    const text = describeDeployment(deployment, settingsOf(PIPELINE)).join('\n');
    for (const { name } of deployment.scripts) expect(text).toContain(name);
    for (const part of ['bucket   nearside-models', 'NEARSIDE_API_KEYS', 'layers 0-', 'at its workers.dev address'])
      expect(text).toContain(part);
  });
});

describe('names of versions', () => {
  it('are told from others', () => {
    expect(isVersioned('nearside', 'nearside-edge-0123abcd')).toBe(true);
    expect(isVersioned('nearside', 'nearside-stage-0123abcd-12')).toBe(true);
    for (const other of [
      'nearside',
      'nearside-edge',
      'nearside-edge-backup',
      'nearside-difficulty',
      'nearside-b-edge-0123abcd',
      'other-edge-0123abcd',
    ])
      expect(isVersioned('nearside', other)).toBe(false);
    expect(versionOf('nearside-stage-0123abcd-12')).toBe('0123abcd');
  });
});
