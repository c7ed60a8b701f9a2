import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Bucket } from '../../models/r2/bucket.ts';
import type { Account } from '../../scripts/deploy/account.ts';
import { DeployError } from '../../scripts/deploy/deploy-error.ts';
import { explain } from '../../scripts/deploy/explain.ts';
import type { WranglerConfig } from '../../scripts/deploy/wrangler-config.ts';

/** An account in memory that holds to the rules a deployment depends on: no Worker may refer to one, or to a bucket, that is not there, nor one go that another refers to. */
export interface SimulatedAccount extends Account {
  scripts: Map<string, { config: WranglerConfig; secrets: Map<string, string> }>;
  buckets: Map<string, Map<string, Uint8Array>>;
  /** Every change, in order: "deploy nearside", "put KEY". */
  changes: string[];
  /** Called before a change with its number from 0. Throws: it has no effect. Returns `after`: it has, and its answer is lost. */
  fault(change: string, number: number): 'after' | null;
}

export function simulateAccount(): SimulatedAccount {
  const { scripts, buckets, changes } = { scripts: new Map(), buckets: new Map(), changes: [] } as unknown as SimulatedAccount;
  const change = async (what: string, effect: () => void): Promise<void> => {
    const fault = account.fault(what, changes.length);
    effect();
    changes.push(what);
    if (fault === 'after') throw new DeployError(`${what}: the connection was lost.`);
  };
  const account: SimulatedAccount = {
    scripts,
    buckets,
    changes,
    fault: () => null,
    whoami: async () => ({ id: 'a'.repeat(32), name: 'test' }),
    subdomain: async () => 'test',
    listScripts: async () => [...scripts.keys()],
    async deployScript(configPath, secrets) {
      const config = JSON.parse(readFileSync(configPath, 'utf8')) as WranglerConfig;
      // What wrangler uploads lies beside it.
      readFileSync(join(dirname(configPath), config.main!));
      const name = config.name!;
      for (const { script_name } of config.durable_objects?.bindings ?? [])
        if (script_name && !scripts.has(script_name)) throw explain(`Deploying ${name}`, { status: 400, code: 10061, message: '' });
      for (const { bucket_name } of config.r2_buckets ?? [])
        if (!buckets.has(bucket_name)) throw explain(`Deploying ${name}`, { status: 400, code: 10085, message: '' });
      await change(`deploy ${name}`, () => {
        const stored = new Map([...(scripts.get(name)?.secrets ?? []), ...Object.entries(secrets)]);
        scripts.set(name, { config, secrets: stored });
      });
    },
    async deleteScript(name) {
      const refers = ({ config }: { config: WranglerConfig }) =>
        config.durable_objects?.bindings.some(({ script_name }) => script_name === name) ?? false;
      if ([...scripts.values()].some(refers)) throw explain(`Removing ${name}`, { status: 400, code: 10064, message: '' });
      await change(`delete ${name}`, () => void scripts.delete(name));
    },
    listSecrets: async (name) => [...(scripts.get(name)?.secrets.keys() ?? [])],
    putSecret: (name, secret, value) => change(`secret ${secret}`, () => void scripts.get(name)!.secrets.set(secret, value)),
    hasBucket: async (name) => buckets.has(name),
    createBucket: (name) => change(`bucket ${name}`, () => void buckets.set(name, new Map())),
    openBucket: async (name) => openBucket(buckets.get(name)!, change),
  };
  return account;
}

function openBucket(objects: Map<string, Uint8Array>, change: (what: string, effect: () => void) => Promise<void>): Bucket {
  const hashes = new Map<string, string>();
  return {
    label: 'simulated',
    head: async (key) => {
      const content = objects.get(key);
      return content ? { bytes: content.length, sha256: hashes.get(key) ?? null } : null;
    },
    get: async (key) => objects.get(key) ?? null,
    put: (key, content, sha256) =>
      change(`put ${key}`, () => {
        objects.set(key, content.slice());
        hashes.set(key, sha256);
      }),
    list: async (prefix) => [...objects].filter(([key]) => key.startsWith(prefix)).map(([key, { length }]) => ({ key, bytes: length })),
    delete: async (keys) => {
      for (const key of keys) objects.delete(key);
    },
    abortUploads: async () => {},
    close: async () => {},
  };
}
