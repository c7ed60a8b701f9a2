import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../../../models/pack/manifest.ts';
import { parseManifest } from '../../../models/pack/reader.ts';
import { apply, destroy, prune, rollback } from '../../../scripts/deploy/apply.ts';
import { describeStatus } from '../../../scripts/deploy/commands.ts';
import { explain } from '../../../scripts/deploy/explain.ts';
import type { Deployment } from '../../../scripts/deploy/plan.ts';
import { readState, type State, writeState } from '../../../scripts/deploy/state.ts';
import { deploymentOf, filesWithoutBuild } from '../../support/deployment.ts';
import { type SimulatedAccount, simulateAccount } from '../../support/simulated-account.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const PACK = join(import.meta.dirname, '../../../models/demo/pack');
const manifest: Manifest = parseManifest(readFileSync(join(PACK, 'manifest.json'), 'utf8'));
const PIPELINE = '[edge]\nplacement = "pipeline"\nbudget_mb = 16.6\n';
const SECRETS = { NEARSIDE_API_KEYS: 'a1'.repeat(32) };

const root = temporaryFolder();
let tests = 0;
let folder: string;
let account: SimulatedAccount;
let said: string[];

beforeEach(() => {
  folder = join(root, String(tests++));
  account = simulateAccount();
  said = [];
});

const stateFile = () => join(folder, 'nearside.json');
const state = (): State => readState(stateFile());
const save = (next: State) => writeState(stateFile(), next);
const say = (line: string) => void said.push(line);

const run = (deployment: Deployment, options: { secrets?: Record<string, string>; replaceSecrets?: boolean; signal?: AbortSignal } = {}) =>
  apply({
    ...{ name: 'nearside', deployment, account, folder, pack: PACK, say, save, state: state(), files: filesWithoutBuild(folder) },
    ...{ secrets: SECRETS, replaceSecrets: false, now: () => new Date(1e12), ...options },
  });

const first = deploymentOf(manifest, PIPELINE);
const second = deploymentOf(manifest, PIPELINE, { engineSources: 'changed' });
const names = (deployment: Deployment) => deployment.scripts.map(({ name }) => name);
const engineOf = (name: string) =>
  account.scripts.get(name)!.config.durable_objects!.bindings.find((binding) => binding.name === 'EDGE_MODEL')!.script_name;

describe('apply', () => {
  it('makes the bucket, uploads the pack with its manifest last, then stages, engine and gateway', async () => {
    await run(first);
    const steps = account.changes.map((change) => change.replace(/-[0-9a-f]{8}/, '').replace(/-\d$/, ''));
    expect(steps[0]).toBe('bucket nearside-models');
    const manifestAt = steps.indexOf('put pack-1/manifest.json');
    expect(steps.slice(1, manifestAt).every((step) => step.startsWith('put pack'))).toBe(true);
    const stages = first.memory.stages.map(() => 'deploy nearside-stage');
    expect(stages.length).toBeGreaterThan(1);
    expect(steps.slice(manifestAt + 1)).toEqual([...stages, 'deploy nearside-edge', 'deploy nearside']);
    expect(account.scripts.get('nearside')!.secrets).toEqual(new Map(Object.entries(SECRETS)));
    expect(engineOf('nearside')).toBe(`nearside-edge-${first.version}`);
  });

  it('does nothing the second time', async () => {
    await run(first);
    account.fault = (change) => {
      throw new Error(`${change} again`);
    };
    await run(first, { secrets: {} });
    expect(said.at(-1)).toContain('serves this version already');
  });

  it('goes on from wherever it broke off, and switches only when everything is there', async () => {
    await run(first);
    const before = account.changes.length;
    await run(second);
    const changes = account.changes.length - before;
    for (const lost of ['before', 'after'] as const) {
      for (let broken = 0; broken < changes; broken++) {
        account = simulateAccount();
        folder = join(root, `${lost}-${broken}`);
        await run(first);
        account.fault = (change, number) => {
          if (number !== before + broken) return null;
          if (lost === 'after') return 'after';
          throw explain(change, { status: 503, code: 0, message: '' });
        };
        await expect(run(second)).rejects.toThrow(/503|connection was lost/);
        const switched = lost === 'after' && broken === changes - 1;
        expect(engineOf('nearside')).toBe(`nearside-edge-${(switched ? second : first).version}`);
        account.fault = () => null;
        await run(second);
        expect(engineOf('nearside')).toBe(`nearside-edge-${second.version}`);
        expect([...account.scripts.keys()].sort()).toEqual([...new Set([...names(first), ...names(second)])].sort());
        const deployed = account.changes.filter((change) => /deploy nearside-/.test(change));
        expect(new Set(deployed).size).toBe(deployed.length);
      }
    }
  });

  it('starts a first deployment again after any fault, with its secrets', async () => {
    await run(first);
    const changes = account.changes.length;
    for (let broken = 0; broken < changes; broken++) {
      account = simulateAccount();
      folder = join(root, `first-${broken}`);
      account.fault = (change, number) => {
        if (number === broken) throw explain(change, { status: 400, code: 10037, message: '' });
        return null;
      };
      await expect(run(first)).rejects.toThrow('as many Workers as it may have');
      account.fault = () => null;
      await run(first);
      expect(account.scripts.get('nearside')!.secrets.get('NEARSIDE_API_KEYS')).toBe(SECRETS.NEARSIDE_API_KEYS);
      expect([...account.scripts.keys()].sort()).toEqual(names(first).sort());
    }
  });

  it('says which secrets have no value before it changes anything', async () => {
    const toml = `${PIPELINE}\n[[origins]]\nmodel = "big"\nendpoints = [{ url = "https://gpu.example.com/v1", secret = "NEARSIDE_ORIGIN_KEY_A" }]`;
    await expect(run(deploymentOf(manifest, toml))).rejects.toThrow('There is no value for NEARSIDE_ORIGIN_KEY_A');
    expect(account.changes).toEqual([]);
  });

  it('stores a secret again only when told to', async () => {
    await run(first);
    const key = { NEARSIDE_API_KEYS: 'b2'.repeat(32) };
    await run(first, { secrets: key });
    expect(account.scripts.get('nearside')!.secrets.get('NEARSIDE_API_KEYS')).toBe(SECRETS.NEARSIDE_API_KEYS);
    await run(first, { secrets: key, replaceSecrets: true });
    expect(account.scripts.get('nearside')!.secrets.get('NEARSIDE_API_KEYS')).toBe(key.NEARSIDE_API_KEYS);
  });

  it('stops before the next step when it is told to', async () => {
    const stop = new AbortController();
    account.fault = (change) => {
      if (change.endsWith('-0')) stop.abort();
      return null;
    };
    await expect(run(first, { signal: stop.signal })).rejects.toThrow('goes on where it was');
    expect(account.changes.filter((change) => change.startsWith('deploy'))).toHaveLength(1);
    await run(first);
    expect(account.scripts.has('nearside')).toBe(true);
  });

  it('changes origins without a new engine', async () => {
    await run(first);
    const before = account.changes.length;
    await run(deploymentOf(manifest, `${PIPELINE}\n[gateway.vars]\nNEARSIDE_EDGE_MAX_TOKENS = "64"`));
    expect(account.changes.slice(before)).toEqual(['deploy nearside']);
  });
});

describe('what comes after', () => {
  it('rolls back to the gateway of the version before, and forward again', async () => {
    await run(first);
    await run(second);
    const options = () => ({ account, state: state(), save, say, folder });
    await rollback(options());
    expect(engineOf('nearside')).toBe(`nearside-edge-${first.version}`);
    expect(account.scripts.get('nearside')!.secrets.size).toBe(1);
    await expect(rollback(options())).rejects.toThrow('no version before this one');
    await run(second);
    expect(engineOf('nearside')).toBe(`nearside-edge-${second.version}`);
    expect(state().releases.map(({ version }) => version)).toEqual([first.version, second.version]);
  });

  it('prunes old versions and nothing else, and then has nothing to go back to', async () => {
    await run(first);
    await run(second);
    account.scripts.set('nearside-edge-backup', account.scripts.get('nearside')!);
    save(await prune('nearside', account, state(), say));
    expect([...account.scripts.keys()].sort()).toEqual(['nearside-edge-backup', ...names(second)].sort());
    await expect(rollback({ account, state: state(), save, say, folder })).rejects.toThrow('no version before this one');
  });

  it('does not roll back to an engine that somebody removed', async () => {
    await run(first);
    await run(second);
    account.scripts.delete(`nearside-edge-${first.version}`);
    await expect(rollback({ account, state: state(), save, say, folder })).rejects.toThrow(
      `nearside-edge-${first.version} is not on the account`,
    );
    expect(engineOf('nearside')).toBe(`nearside-edge-${second.version}`);
  });

  it('destroys the gateway first, and the rest when started again', async () => {
    await run(first);
    account.fault = (change) => {
      if (change.includes('-stage-')) throw explain(change, { status: 503, code: 0, message: '' });
      return null;
    };
    account.scripts.set('other', { config: {}, secrets: new Map() });
    await expect(destroy('nearside', account, say)).rejects.toThrow('503');
    expect(account.scripts.has('nearside')).toBe(false);
    account.fault = () => null;
    await destroy('nearside', account, say);
    expect([...account.scripts.keys()]).toEqual(['other']);
    expect(account.buckets.get('nearside-models')!.size).toBeGreaterThan(0);
  });

  it('tells in its status what serves, what is old and what is half there', async () => {
    await run(first);
    account.fault = (change) => {
      if (change.startsWith('deploy nearside-edge')) throw explain(change, { status: 503, code: 0, message: '' });
      return null;
    };
    await expect(run(second)).rejects.toThrow('503');
    const text = describeStatus('nearside', state(), [...account.scripts.keys()], second.version).join('\n');
    expect(text).toContain(`serves version ${first.version}`);
    expect(text).toMatch(new RegExp(`version ${second.version}: \\d Workers, not finished`));
    const alone = describeStatus('nearside', { releases: [], current: null }, ['nearside'], null).join('\n');
    expect(alone).toContain('not known here');
  });
});
