import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Bucket } from '../../models/r2/bucket.ts';
import { openS3Bucket } from '../../models/r2/s3-bucket.ts';
import type { Account } from './account.ts';
import { type ApiOptions, callApi } from './cloudflare-api.ts';
import { DeployError } from './deploy-error.ts';
import { explain, problemIn, withoutColours } from './explain.ts';
import { runWrangler } from './wrangler.ts';

export type Environment = Record<string, string | undefined>;

export interface CloudflareOptions {
  /** The checkout, whose wrangler is used. */
  root: string;
  /** CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_API_BASE_URL, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY, R2_ENDPOINT. */
  env: Environment;
  /** Of `nearside.toml`. */
  accountId: string | null;
  pauseMs?: number;
}

const API = 'https://api.cloudflare.com/client/v4';

/** A real account: Workers are deployed by wrangler, everything else is asked of Cloudflare's API with wrangler's login or CLOUDFLARE_API_TOKEN. */
export function openCloudflare(options: CloudflareOptions): Account {
  const { root, env } = options;
  let opened: Promise<Session> | null = null;
  const session = () => {
    opened ??= openSession(options);
    return opened;
  };
  const ask = async <T>(path: string, request: Parameters<typeof callApi>[2]) => {
    const { api, account } = await session();
    return callApi<T>(api, `/accounts/${account.id}${path}`, request);
  };
  const script = (name: string) => `/workers/scripts/${encodeURIComponent(name)}`;
  return {
    whoami: async () => (await session()).account,
    async subdomain() {
      const found = await ask<{ subdomain: string }>('/workers/subdomain', { what: 'Asking for the workers.dev subdomain' });
      if (!found) throw new DeployError('The account has no workers.dev subdomain: choose one in the dashboard, under Workers.');
      return found.subdomain;
    },
    async listScripts() {
      const scripts = await ask<{ id: string }[]>('/workers/scripts', { what: 'Listing the Workers' });
      return (scripts ?? []).map(({ id }) => id);
    },
    async deployScript(configPath, secrets) {
      const { account } = await session();
      await deployByWrangler(root, { ...env, CLOUDFLARE_ACCOUNT_ID: account.id }, configPath, secrets);
    },
    async deleteScript(name) {
      await ask(`${script(name)}?force=true`, { method: 'DELETE', what: `Deleting ${name}` });
    },
    async listSecrets(name) {
      const secrets = await ask<{ name: string }[]>(`${script(name)}/secrets`, { what: `Listing the secrets of ${name}` });
      return (secrets ?? []).map((secret) => secret.name);
    },
    async putSecret(name, secret, text) {
      const what = `Storing the secret ${secret}`;
      await ask(`${script(name)}/secrets`, { method: 'PUT', body: { name: secret, text, type: 'secret_text' }, what });
    },
    hasBucket: async (name) => (await ask(`/r2/buckets/${name}`, { what: `Looking for the bucket ${name}` })) !== null,
    async createBucket(name) {
      await ask('/r2/buckets', { method: 'POST', body: { name }, what: `Creating the bucket ${name}` });
    },
    openBucket: async (name) => openBucket(await session(), env, name),
  };
}

interface Session {
  api: ApiOptions;
  account: { id: string; name: string };
}

async function openSession({ root, env, accountId, pauseMs }: CloudflareOptions): Promise<Session> {
  const token = env.CLOUDFLARE_API_TOKEN || (await wranglerToken(root, env));
  const api = { baseUrl: env.CLOUDFLARE_API_BASE_URL || API, token, pauseMs };
  const accounts = (await callApi<{ id: string; name: string }[]>(api, '/accounts', { what: 'Asking for the account' })) ?? [];
  const wanted = accountId ?? (env.CLOUDFLARE_ACCOUNT_ID || null);
  if (wanted !== null) {
    const found = accounts.find(({ id }) => id === wanted);
    if (!found)
      throw new DeployError(`The token is for other accounts than ${wanted}: use a token of that one, or set account in nearside.toml.`);
    return { api, account: { id: found.id, name: found.name } };
  }
  const [only, other] = accounts;
  if (!only) throw new DeployError('The token is for no account: make one with access to the account to deploy to.');
  if (other) {
    const names = accounts.map(({ id, name }) => `${id} (${name})`).join(', ');
    throw new DeployError(`The token is for several accounts: set account in nearside.toml to one of ${names}.`);
  }
  return { api, account: { id: only.id, name: only.name } };
}

/** The token of `wrangler login`, which wrangler renews where it has to. */
async function wranglerToken(root: string, env: Environment): Promise<string> {
  const { code, output } = await runWrangler(root, ['auth', 'token', '--json'], env);
  const token = /"token":\s*"([^"]+)"/.exec(output)?.[1];
  if (code === 0 && token) return token;
  throw new DeployError('There is no Cloudflare login here: run npx wrangler login, or set CLOUDFLARE_API_TOKEN.');
}

async function deployByWrangler(root: string, env: Environment, configPath: string, secrets: Record<string, string>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'nearside-secrets-'));
  try {
    const args = ['deploy', '--config', configPath];
    if (Object.keys(secrets).length > 0) {
      const file = join(folder, 'secrets.json');
      await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
      args.push('--secrets-file', file);
    }
    const { code, output } = await runWrangler(root, args, env);
    if (code === 0) return;
    const what = `Deploying ${dirname(configPath).split(/[\\/]/).at(-1)}`;
    const problem = problemIn(output);
    if (problem) throw explain(what, problem);
    const said = withoutColours(output)
      .split('\n')
      .find((line) => /error/i.test(line))
      ?.replace(/^.*?\[?ERROR\]?\s*/, '');
    throw new DeployError(`${what} failed: ${said?.trim() || `wrangler ended with code ${code}`}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The bucket through R2's S3 interface. Its credentials are given, or made of the API token: the key is the token's id, the secret its SHA-256
 * (https://developers.cloudflare.com/r2/api/tokens/).
 */
async function openBucket({ api, account }: Session, env: Environment, bucket: string): Promise<Bucket> {
  const endpoint = env.R2_ENDPOINT || `https://${account.id}.r2.cloudflarestorage.com`;
  const { R2_ACCESS_KEY_ID: accessKeyId, R2_SECRET_ACCESS_KEY: secretAccessKey, CLOUDFLARE_API_TOKEN: token } = env;
  if (accessKeyId && secretAccessKey) return openS3Bucket({ endpoint, bucket, accessKeyId, secretAccessKey });
  if (!token)
    throw new DeployError(
      'Uploading the pack needs CLOUDFLARE_API_TOKEN with "Workers R2 Storage: Edit", or R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY: a login by wrangler is not enough.',
    );
  const what = 'Looking at the token';
  const verify = (path: string) => callApi<{ id: string }>(api, path, { what }).catch(() => null);
  const id = ((await verify('/user/tokens/verify')) ?? (await verify(`/accounts/${account.id}/tokens/verify`)))?.id;
  if (!id)
    throw new DeployError('Cloudflare does not say the id of CLOUDFLARE_API_TOKEN: set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY, too.');
  return openS3Bucket({ endpoint, bucket, accessKeyId: id, secretAccessKey: createHash('sha256').update(token).digest('hex') });
}
