import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeployError } from './deploy-error.ts';
import { CONFIG_FILES } from './load.ts';
import type { Deployment, Script } from './plan.ts';
import { runWrangler } from './wrangler.ts';

/** Writes what is deployed: `FOLDER/VERSION/SCRIPT/wrangler.json`, and the bundles beside them. */
export interface DeploymentFiles {
  /** Builds the Worker of this kind, unless it is there. */
  bundle(deployment: Deployment, script: Script): Promise<void>;
  /** Writes a script's configuration. @returns its path, relative to the folder of deployments */
  write(deployment: Deployment, script: Script): Promise<string>;
}

const configFileOf = ({ placement }: Deployment, { kind }: Script): string => {
  if (kind === 'engine') return placement === 'container' ? CONFIG_FILES.container : CONFIG_FILES.edge;
  return CONFIG_FILES[kind];
};

/** Engine and stages belong to a version; a gateway may be changed without a new one. */
const bundleOf = (deployment: Deployment, { kind }: Script): string =>
  kind === 'gateway' ? `bundle-gateway-${deployment.gatewayHash}` : `bundle-${kind}`;

/** @param folder of all deployments, which survive so that one can go back to them */
export function deploymentFiles(root: string, folder: string): DeploymentFiles {
  return {
    async bundle(deployment, script) {
      const bundle = join(folder, deployment.version, bundleOf(deployment, script));
      if (existsSync(join(bundle, 'index.js'))) return;
      const unfinished = `${bundle}.new`;
      await rm(unfinished, { recursive: true, force: true });
      await mkdir(unfinished, { recursive: true });
      const { code, output } = await runWrangler(root, [
        // A container's image is built when it is deployed, and not for the sake of a bundle.
        ...['deploy', '--dry-run', '--containers-rollout=none'],
        ...['--config', join(root, configFileOf(deployment, script)), '--outdir', unfinished],
      ]);
      if (code !== 0) throw new DeployError(`The ${script.kind} does not build; npm run deploy:check shows why:\n${output.trim()}`);
      // Modules beside the script are uploaded: these two are for people.
      for (const name of await readdir(unfinished)) if (/\.map$|^README\.md$/.test(name)) await rm(join(unfinished, name));
      await rename(unfinished, bundle);
    },
    async write(deployment, script) {
      const name = script.kind === 'gateway' ? `${script.name}-${deployment.gatewayHash}` : script.name;
      const path = join(deployment.version, name);
      await mkdir(join(folder, path), { recursive: true });
      const modules = { no_bundle: true, find_additional_modules: true };
      const config = { ...script.config, main: `../${bundleOf(deployment, script)}/index.js`, ...modules };
      await writeFile(join(folder, path, 'wrangler.json'), `${JSON.stringify(config, null, 2)}\n`);
      return join(path, 'wrangler.json');
    },
  };
}
