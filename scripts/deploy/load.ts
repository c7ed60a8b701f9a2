import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { parse } from 'smol-toml';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import { openPack } from '../../models/pack/reader.ts';
import { defaultPrefix } from '../../models/r2/push-pack.ts';
import { DeployError } from './deploy-error.ts';
import { type Deployment, planDeployment } from './plan.ts';
import { parseSettings, type Settings } from './settings.ts';
import { CONTAINER_SOURCES, ENGINE_SOURCES, GATEWAY_SOURCES, sourceHash } from './source-hash.ts';
import type { WranglerConfig } from './wrangler-config.ts';

/** All that a command goes by. */
export interface Loaded {
  settings: Settings;
  deployment: Deployment;
  manifest: Manifest;
  /** The pack's folder. */
  pack: string;
}

/** Where configurations are committed, by the Worker. */
export const CONFIG_FILES = {
  gateway: 'wrangler.toml',
  edge: 'worker/edge/wrangler.toml',
  stage: 'worker/edge/stage/wrangler.toml',
  container: 'worker/edge/container/wrangler.toml',
} as const;

/** Reads `nearside.toml`. Throws `DeployError`. @param file relative to `root`, or absolute */
export function loadSettings(root: string, file: string): Settings {
  const path = isAbsolute(file) ? file : join(root, file);
  if (!existsSync(path))
    throw new DeployError(
      `There is no ${file}: copy deploy/cloudflare/nearside.example.toml to nearside.toml and change it, or name another file with --config.`,
    );
  return parseSettings(readFileSync(path, 'utf8'), relative(root, path));
}

/** Reads the settings, the pack's manifest and the committed configurations, and plans. Writes nothing. Throws `DeployError`. */
export async function loadDeployment(root: string, file: string): Promise<Loaded> {
  const settings = loadSettings(root, file);
  const pack = isAbsolute(settings.model.pack) ? settings.model.pack : join(root, settings.model.pack);
  if (!existsSync(join(pack, 'manifest.json')))
    throw new DeployError(
      `${settings.model.pack} (model.pack) is no pack: make one with npm run -s models -- pull MODEL, or name its folder.`,
    );
  const { manifest } = await openPack(new FolderStorage(pack));
  const { edge } = settings;
  if (edge.placement === 'container' && !existsSync(join(root, CONFIG_FILES.container)))
    throw new DeployError('This checkout has no container placement: set edge.placement to "isolate" or "pipeline".');
  const read = (path: string) => parse(readFileSync(join(root, path), 'utf8')) as WranglerConfig;
  const deployment = planDeployment({
    settings,
    manifest,
    prefix: defaultPrefix(
      manifest,
      createHash('sha256')
        .update(readFileSync(join(pack, 'manifest.json')))
        .digest('hex'),
    ),
    base: {
      gateway: read(CONFIG_FILES.gateway),
      edge: read(CONFIG_FILES.edge),
      stage: read(CONFIG_FILES.stage),
      container: edge.placement === 'container' ? withImage(read(CONFIG_FILES.container), root, pack, settings) : null,
    },
    engineSources: sourceHash(root, edge.placement === 'container' ? CONTAINER_SOURCES : ENGINE_SOURCES),
    gatewaySources: sourceHash(root, GATEWAY_SOURCES),
  });
  return { settings, deployment, manifest, pack };
}

/** The pack is part of the image, whose files are named from the root: the generated configuration lies elsewhere. */
function withImage(base: WranglerConfig, root: string, pack: string, { edge, model }: Settings): WranglerConfig {
  const place = relative(root, pack);
  if (place.startsWith('..') || isAbsolute(place))
    throw new DeployError(`${model.pack} (model.pack) must lie in this folder, as the container's image is built from it.`);
  const containers = (base.containers as Record<string, unknown>[]).map((container) => ({
    ...container,
    image: join(root, 'deploy/container/Dockerfile'),
    image_build_context: root,
    image_vars: { PACK: place },
    max_instances: edge.replicas * Math.max(1, edge.regions.length),
  }));
  return { ...base, containers };
}
