import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Manifest } from '../../models/pack/manifest.ts';
import type { DeploymentFiles } from '../../scripts/deploy/files.ts';
import { deploymentFiles } from '../../scripts/deploy/files.ts';
import { type Deployment, planDeployment } from '../../scripts/deploy/plan.ts';
import { parseSettings, type Settings } from '../../scripts/deploy/settings.ts';
import type { BaseConfigs } from '../../scripts/deploy/wrangler-config.ts';

export const settingsOf = (toml = ''): Settings => parseSettings(`[model]\npack = "pack"\n${toml}`, 'nearside.toml');

/** The parts of the committed configurations that a deployment is made of. */
export const base: BaseConfigs = {
  gateway: {
    main: 'worker/index.ts',
    compatibility_date: '2026-11-02',
    durable_objects: {
      bindings: [
        { name: 'EDGE_MODEL', class_name: 'EdgeModel', script_name: 'nearside-edge' },
        { name: 'ORIGIN_MONITOR', class_name: 'OriginMonitor' },
      ],
    },
  },
  edge: {
    main: 'index.ts',
    assets: { directory: 'demo' },
    durable_objects: { bindings: [{ name: 'EDGE_MODEL', class_name: 'EdgeModel' }] },
    vars: { NEARSIDE_EDGE_PACK: 'assets:', NEARSIDE_EDGE_STALL_MS: '30000' },
  },
  stage: {
    main: 'index.ts',
    durable_objects: { bindings: [{ name: 'STAGE_MODEL', class_name: 'StageModel' }] },
    vars: { NEARSIDE_STAGE: '' },
  },
  container: null,
};

/** A deployment of a pack with made-up hashes of the sources. */
export function deploymentOf(
  manifest: Manifest,
  toml = '',
  changes: { engineSources?: string; gatewaySources?: string; prefix?: string } = {},
): Deployment {
  return planDeployment({
    settings: settingsOf(toml),
    manifest,
    base,
    prefix: 'pack-1',
    engineSources: 'e',
    gatewaySources: 'g',
    ...changes,
  });
}

/** Configurations as they are, bundles without a build. */
export function filesWithoutBuild(folder: string): DeploymentFiles {
  const files = deploymentFiles('.', folder);
  return {
    bundle: async () => {},
    async write(deployment, script) {
      const path = await files.write(deployment, script);
      const bundle = join(
        folder,
        dirname(path),
        '..',
        `bundle-${script.kind === 'gateway' ? `gateway-${deployment.gatewayHash}` : script.kind}`,
      );
      await mkdir(bundle, { recursive: true });
      await writeFile(join(bundle, 'index.js'), 'export default {};');
      return path;
    },
  };
}
