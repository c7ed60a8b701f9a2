import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

type Config = Record<string, unknown>;

/**
 * Writes the engine Worker's configuration with other variables. `wrangler dev` with two configurations gives `--var` to the first one only, and changing
 * the file in the repository is no way to pass a setting.
 * @param directory folder of the static assets, where the engine may find its pack
 * @returns the path of the written file
 */
export async function writeEngineConfig(root: string, name: string, directory: string, vars: Record<string, string>): Promise<string> {
  const { main, assets, ...config } = await engineConfig(root);
  return write(root, name, { ...config, main, assets: { ...assets, directory }, vars: { ...config.vars, ...vars } });
}

/** What the engine Worker's configuration says, without the defaults that wrangler adds. */
async function engineConfig(root: string) {
  // It takes a second to load, which a mistyped option should not have to wait for.
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const all = readConfig({ config: join(root, 'worker/edge/wrangler.toml') });
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
