import { join } from 'node:path';
import { ModelError } from '../../models/model-error.ts';
import type { Bucket } from '../../models/r2/bucket.ts';
import { pushPack } from '../../models/r2/push-pack.ts';
import type { Account } from './account.ts';
import { DeployError } from './deploy-error.ts';
import type { DeploymentFiles } from './files.ts';
import { type Deployment, isVersioned, type Script } from './plan.ts';
import { currentRelease, type State, withRelease } from './state.ts';

export interface ApplyOptions {
  /** Of everything that is deployed: the gateway's. */
  name: string;
  deployment: Deployment;
  account: Account;
  files: DeploymentFiles;
  /** Folder of all deployments, and of the pack. */
  folder: string;
  pack: string;
  state: State;
  /** Called as soon as the gateway has been switched. */
  save(state: State): void;
  /** Values of secrets that are at hand, by name. */
  secrets: Record<string, string | undefined>;
  /** Store secrets that are there already, too. */
  replaceSecrets: boolean;
  now(): Date;
  say(line: string): void;
  onUpload?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/** Files on their way at a time; each is in memory. */
const UPLOADS = 3;

/**
 * Brings an account to what a deployment says, and does nothing where it is so already. New engines and stages stand beside the old ones until the last step, one
 * upload of the gateway, switches to them; so it may end anywhere, and goes on where it was when it is started again: what is done is on the account. Throws `DeployError`.
 */
export async function apply(options: ApplyOptions): Promise<State> {
  const { deployment, account, say, state, name } = options;
  const { id, name: accountName } = await account.whoami();
  say(`Account ${accountName} (${id}), version ${deployment.version}.`);
  const present = new Set(await account.listScripts());
  const secrets = await secretsToStore(options, present.has(name));
  await storePack(options);
  for (const script of deployment.scripts.filter(({ kind }) => kind !== 'gateway')) {
    stopIfAsked(options);
    if (present.has(script.name)) say(`${script.kind} ${script.name}: there already.`);
    else await deploy(options, script, {});
  }
  stopIfAsked(options);
  const gateway = deployment.scripts.find(({ kind }) => kind === 'gateway')!;
  const current = currentRelease(state);
  if (present.has(name) && current?.version === deployment.version && current.gatewayHash === deployment.gatewayHash) {
    for (const [secret, value] of Object.entries(secrets)) await account.putSecret(name, secret, value);
    say(`gateway ${name}: serves this version already.`);
    return state;
  }
  const path = await deploy(options, gateway, secrets);
  const { version, gatewayHash, bucket, prefix } = deployment;
  const scripts = deployment.scripts.filter(({ kind }) => kind !== 'gateway').map((script) => script.name);
  const next = withRelease(state, { version, gatewayHash, scripts, bucket, prefix, gateway: path, at: options.now().toISOString() });
  options.save(next);
  return next;
}

/** Those that are needed and are not there yet. Throws before anything is done when a value is missing. */
async function secretsToStore({ name, deployment, account, secrets, replaceSecrets }: ApplyOptions, exists: boolean) {
  const stored = new Set(exists ? await account.listSecrets(name) : []);
  const missing = deployment.secrets.filter((secret) => !stored.has(secret) && !secrets[secret]);
  if (missing.length > 0)
    throw new DeployError(
      `There is no value for ${missing.join(', ')}: set ${missing.length > 1 ? 'them' : 'it'} in the environment, as npm run deploy -- apply stores ${missing.length > 1 ? 'them' : 'it'} with the gateway. Nothing has been changed.`,
    );
  const wanted = deployment.secrets.filter((secret) => secrets[secret] && (replaceSecrets || !stored.has(secret)));
  return Object.fromEntries(wanted.map((secret) => [secret, secrets[secret]!]));
}

async function storePack(options: ApplyOptions): Promise<void> {
  const { deployment, account, pack, say, onUpload } = options;
  const { bucket: name, prefix } = deployment;
  stopIfAsked(options);
  if (!(await account.hasBucket(name))) {
    await account.createBucket(name);
    say(`bucket ${name}: created.`);
  }
  const bucket = await account.openBucket(name);
  try {
    const { sent } = await pushPack(pack, untilStopped(bucket, options), { prefix, connections: UPLOADS, onProgress: onUpload });
    say(`pack ${prefix}: ${sent === 0 ? 'there already' : `${(sent / 1e6).toFixed(1)} MB uploaded`}.`);
  } catch (error) {
    throw error instanceof ModelError ? new DeployError(error.message) : error;
  } finally {
    await bucket.close();
  }
}

/** Starts no further file when it is to stop. */
const untilStopped = (bucket: Bucket, options: ApplyOptions): Bucket => ({
  ...bucket,
  put: async (...args) => {
    stopIfAsked(options);
    await bucket.put(...args);
  },
});

async function deploy({ deployment, account, files, folder, say }: ApplyOptions, script: Script, secrets: Record<string, string>) {
  await files.bundle(deployment, script);
  const path = await files.write(deployment, script);
  await account.deployScript(join(folder, path), secrets);
  say(`${script.kind} ${script.name}: deployed.`);
  return path;
}

function stopIfAsked({ signal }: ApplyOptions): void {
  if (signal?.aborted) throw new DeployError('Stopped. What serves has not been changed; npm run deploy -- apply goes on where it was.');
}

/** Removes engines and stages of other versions than the one that serves. @returns the state without releases that are gone */
export async function prune(name: string, account: Account, state: State, say: (line: string) => void): Promise<State> {
  const current = currentRelease(state);
  if (!current) throw new DeployError('It is not known here which version serves: run npm run deploy -- apply first.');
  const old = (await account.listScripts()).filter((script) => isVersioned(name, script) && !current.scripts.includes(script));
  await removeAll(account, old, say);
  const releases = state.releases.filter(({ version }) => version === current.version);
  return { releases, current: releases.indexOf(current) };
}

/** Engines refer to stages, so they go first. */
async function removeAll(account: Account, scripts: string[], say: (line: string) => void): Promise<void> {
  const order = (script: string) => (/-edge-[0-9a-f]{8}$/.test(script) ? 0 : 1);
  for (const script of scripts.toSorted((a, b) => order(a) - order(b))) {
    await account.deleteScript(script);
    say(`${script}: removed.`);
  }
}

/** Removes the gateway first, so that nobody is answered by half of it, then every version. Bucket and packs stay. Interrupted, the same again removes the rest. */
export async function destroy(name: string, account: Account, say: (line: string) => void): Promise<void> {
  const present = await account.listScripts();
  if (present.includes(name)) {
    await account.deleteScript(name);
    say(`${name}: removed.`);
  }
  await removeAll(
    account,
    present.filter((script) => isVersioned(name, script)),
    say,
  );
}

export interface RollbackOptions extends Pick<ApplyOptions, 'account' | 'state' | 'save' | 'say' | 'folder'> {}

/** Deploys the gateway of the release before the current one as it was then. Throws `DeployError` when there is none, or its engine is gone. */
export async function rollback({ account, state, save, say, folder }: RollbackOptions): Promise<State> {
  const { releases, current } = state;
  const target = current === null ? undefined : releases[current - 1];
  if (!target)
    throw new DeployError('There is no version before this one here: nothing else has been deployed from this folder, or it was pruned.');
  const present = new Set(await account.listScripts());
  const gone = target.scripts.filter((script) => !present.has(script));
  if (gone.length > 0)
    throw new DeployError(
      `Version ${target.version} cannot serve any more: ${gone.join(', ')} ${gone.length > 1 ? 'are' : 'is'} not on the account.`,
    );
  await account.deployScript(join(folder, target.gateway), {});
  const next = { releases, current: current! - 1 };
  save(next);
  say(`The gateway is back at version ${target.version} of ${target.at}. The way forward is npm run deploy -- apply.`);
  return next;
}
