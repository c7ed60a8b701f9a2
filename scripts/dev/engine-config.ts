import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

type Config = Record<string, unknown>;

/**
 * Writes the engine Worker's configuration with other variables. `wrangler dev` with two configurations gives `--var` to the first one only, and changing
 * the file in the repository is no way to pass a setting.
 * @param directory folder of the static assets, where the engine may find its pack
 * @returns the path of the written file
 */
export async function writeEngineConfig(
  root: string,
  name: string,
  directory: string,
  vars: Record<string, string>,
  stages: Stages | null = null,
): Promise<string> {
  const { main, assets, durable_objects: objects, ...config } = await workerConfig(root, 'worker/edge/wrangler.toml');
  const bindings = stageNames(stages).map((script_name, i) => ({ name: `STAGE_${i}`, class_name: 'StageModel', script_name }));
  const durable_objects = { bindings: [...objects.bindings, ...bindings] };
  return write(root, name, { ...config, main, durable_objects, assets: { ...assets, directory }, vars: { ...config.vars, ...vars } });
}

/** A pipeline's stages: their scripts are called `prefix`-0 and on. */
export interface Stages {
  prefix: string;
  count: number;
}

const stageNames = (stages: Stages | null): string[] =>
  stages ? Array.from({ length: stages.count }, (_, i) => `${stages.prefix}-${i}`) : [];

/** Writes a configuration for each stage Worker, with these variables. Answers the paths. */
export async function writeStageConfigs(root: string, stages: Stages, vars: Record<string, string>): Promise<string[]> {
  const { assets: _, ...config } = await workerConfig(root, 'worker/edge/stage/wrangler.toml');
  const configs = stageNames(stages).map((name, i) =>
    write(root, name, { ...config, name, vars: { ...config.vars, ...vars, NEARSIDE_STAGE: String(i) } }),
  );
  return Promise.all(configs);
}

/** What a Worker's configuration says, without the defaults that wrangler adds. */
async function workerConfig(root: string, path: string) {
  // It takes a second to load, which a mistyped option should not have to wait for.
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const all = readConfig({ config: join(root, path) });
  const { name, main, compatibility_date, compatibility_flags, durable_objects, migrations, r2_buckets, assets, vars } = all;
  return { name, main, compatibility_date, compatibility_flags, durable_objects, migrations, r2_buckets, assets, vars };
}

async function write(root: string, name: string, config: Config): Promise<string> {
  const folder = join(root, '.wrangler', 'dev');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`);
  return path;
}
