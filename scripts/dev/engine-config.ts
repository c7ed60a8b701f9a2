import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Writes the engine Worker's configuration with other variables. `wrangler dev` with two configurations gives `--var` to the first one only, and changing
 * the file in the repository is no way to pass a setting.
 * @returns the path of the written file
 */
export async function writeEngineConfig(root: string, name: string, vars: Record<string, string>): Promise<string> {
  // It takes a second to load, which a mistyped option should not have to wait for.
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const config = readConfig({ config: join(root, 'worker/edge/wrangler.toml') });
  const folder = join(root, '.wrangler', 'dev');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  const { main, compatibility_date, compatibility_flags, durable_objects, migrations, r2_buckets, assets } = config;
  const written = {
    name: config.name,
    main,
    compatibility_date,
    compatibility_flags,
    durable_objects,
    migrations,
    r2_buckets,
    assets: { ...assets, directory: join(root, 'worker/edge/assets') },
    vars: { ...config.vars, ...vars },
  };
  await writeFile(path, `${JSON.stringify(written, null, 2)}\n`);
  return path;
}
