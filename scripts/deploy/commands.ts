import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transferReporter } from '../../models/cli/transfer-progress.ts';
import type { Account } from './account.ts';
import { apply, destroy, prune, rollback } from './apply.ts';
import { openCloudflare } from './cloudflare-account.ts';
import { estimateCost, type Load, ratesOf } from './cost.ts';
import { describeCost, describeDeployment, multiplications } from './describe.ts';
import { deploymentFiles } from './files.ts';
import { type Loaded, loadDeployment, loadSettings } from './load.ts';
import { isVersioned, versionOf } from './plan.ts';
import type { Settings } from './settings.ts';
import { currentRelease, readState, type State, writeState } from './state.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '');
const FOLDER = join(ROOT, '.nearside/deploy');

const say = (line: string): void => console.log(line);
const stateFile = (name: string): string => join(FOLDER, `${name}.json`);
const accountOf = ({ account }: Settings): Account => openCloudflare({ root: ROOT, env: process.env, accountId: account });

/** Prints what would be deployed. @param given what is not given has a default */
export async function planCommand(file: string, given: Partial<Load> & { prefill?: number; decode?: number }): Promise<void> {
  const loaded = await loadDeployment(ROOT, file);
  for (const line of [...describeDeployment(loaded.deployment, loaded.settings), '', ...costLines(loaded, given)]) say(line);
}

function costLines({ settings, deployment, manifest }: Loaded, given: Parameters<typeof planCommand>[1]): string[] {
  const assumed = ratesOf(multiplications(manifest));
  const rates = { prefill: given.prefill ?? assumed.prefill, decode: given.decode ?? assumed.decode };
  const load = {
    requestsPerMonth: given.requestsPerMonth ?? 100_000,
    promptTokens: given.promptTokens ?? 32,
    answerTokens: given.answerTokens ?? 16,
  };
  const { replicas, regions, sessions } = settings.edge;
  const cost = estimateCost(load, {
    placement: deployment.placement,
    objects: deployment.placement === 'pipeline' ? deployment.memory.stages.length + 1 : 1,
    replicas: replicas * Math.max(1, regions.length),
    sessions,
    ...rates,
    packBytes: deployment.packBytes,
    reads: manifest.files.length + 2,
  });
  return describeCost(cost, load, { ...rates, measured: given.prefill !== undefined && given.decode !== undefined });
}

export async function applyCommand(file: string, options: { replaceSecrets: boolean; signal: AbortSignal }): Promise<void> {
  const { settings, deployment, pack } = await loadDeployment(ROOT, file);
  const { name } = settings;
  const save = (state: State) => writeState(stateFile(name), state);
  await apply({
    ...options,
    ...{ name, deployment, pack, say, save },
    account: accountOf(settings),
    files: deploymentFiles(ROOT, FOLDER),
    folder: FOLDER,
    state: readState(stateFile(name)),
    secrets: process.env,
    now: () => new Date(),
    onUpload: transferReporter('Uploading').onProgress,
  });
  say(`Version ${deployment.version} serves. npm run doctor checks it; npm run deploy -- rollback goes back.`);
}

export async function pruneCommand(file: string): Promise<void> {
  const settings = loadSettings(ROOT, file);
  const path = stateFile(settings.name);
  writeState(path, await prune(settings.name, accountOf(settings), readState(path), say));
}

export async function rollbackCommand(file: string): Promise<void> {
  const settings = loadSettings(ROOT, file);
  const path = stateFile(settings.name);
  await rollback({ account: accountOf(settings), state: readState(path), save: (state) => writeState(path, state), say, folder: FOLDER });
}

export async function statusCommand(file: string): Promise<void> {
  const settings = loadSettings(ROOT, file);
  const account = accountOf(settings);
  const { id, name: accountName } = await account.whoami();
  const scripts = await account.listScripts();
  const wanted = await loadDeployment(ROOT, file).then(
    ({ deployment }) => deployment.version,
    () => null,
  );
  for (const line of describeStatus(settings.name, readState(stateFile(settings.name)), scripts, wanted)) say(line);
  const secrets = scripts.includes(settings.name) ? await account.listSecrets(settings.name) : [];
  const missing = settings.secrets.filter((secret) => !secrets.includes(secret));
  say(missing.length > 0 ? `Secrets that are missing: ${missing.join(', ')}.` : 'All secrets are there.');
  say(`Account ${accountName} (${id}).`);
}

/** @param wanted the version that apply would deploy now; null when it cannot be told */
export function describeStatus(name: string, state: State, scripts: string[], wanted: string | null): string[] {
  const current = currentRelease(state);
  const versions = new Map<string, number>();
  for (const script of scripts.filter((script) => isVersioned(name, script))) {
    versions.set(versionOf(script), (versions.get(versionOf(script)) ?? 0) + 1);
  }
  const gateway = scripts.includes(name)
    ? `${name} is deployed${current ? `, and serves version ${current.version} since ${current.at}` : '; which version it serves is not known here, as it was not deployed from this folder'}.`
    : `${name} is not deployed.`;
  const lines = [...versions].map(([version, count]) => {
    const role =
      version === current?.version
        ? 'serves'
        : version === wanted
          ? 'not finished: apply goes on with it'
          : 'old: rollback may need it, apply --prune removes it';
    return `  version ${version}: ${count} Worker${count > 1 ? 's' : ''}, ${role}`;
  });
  const missing = current?.scripts.filter((script) => !scripts.includes(script)) ?? [];
  return [
    gateway,
    ...lines,
    ...(missing.length > 0 ? [`Not on the account, and needed: ${missing.join(', ')}. Run npm run deploy -- apply.`] : []),
    ...(wanted !== null && wanted !== current?.version ? [`npm run deploy -- apply would switch to version ${wanted}.`] : []),
  ];
}

export async function destroyCommand(file: string, confirm: (question: string) => Promise<boolean>): Promise<void> {
  const settings = loadSettings(ROOT, file);
  const { name, model } = settings;
  const account = accountOf(settings);
  const { name: accountName } = await account.whoami();
  if (!(await confirm(`Remove ${name}, its engines and stages from ${accountName}?`))) return say('Nothing has been removed.');
  await destroy(name, account, say);
  writeState(stateFile(name), { releases: [], current: null });
  say(`The bucket ${model.bucket} and its packs are still there: npm run -s models -- list --bucket ${model.bucket} --remote shows them.`);
}
