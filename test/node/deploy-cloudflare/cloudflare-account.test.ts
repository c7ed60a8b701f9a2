import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Account } from '../../../scripts/deploy/account.ts';
import { openCloudflare } from '../../../scripts/deploy/cloudflare-account.ts';
import { explain, problemIn } from '../../../scripts/deploy/explain.ts';
import { type CloudflareServer, cloudflareToken, startCloudflare } from '../../support/cloudflare-server.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const ROOT = join(import.meta.dirname, '../../..');

let server: CloudflareServer;
beforeAll(async () => {
  server = await startCloudflare();
});
afterAll(() => server.close());
beforeEach(() => {
  server.fault = () => null;
  server.seen.length = 0;
});

const accountWith = (env: Record<string, string> = {}, accountId: string | null = null): Account =>
  openCloudflare({
    ...{ root: ROOT, accountId, pauseMs: 1 },
    env: { CLOUDFLARE_API_BASE_URL: server.baseUrl, CLOUDFLARE_API_TOKEN: cloudflareToken, ...env },
  });

describe('an account', () => {
  it('is found by the token alone', async () => {
    expect(await accountWith().whoami()).toEqual({ id: server.accountId, name: 'test account' });
  });

  it('is not mistaken for another', async () => {
    await expect(accountWith({}, 'b'.repeat(32)).whoami()).rejects.toThrow(/other accounts than b/);
  });

  it('says that a token is wrong, and not the token', async () => {
    const wrong = accountWith({ CLOUDFLARE_API_TOKEN: 'stale-token' });
    await expect(wrong.listScripts()).rejects.toThrow(/does not accept the token/);
    await expect(wrong.listScripts()).rejects.not.toThrow(/stale-token/);
  });

  it('says that it cannot be reached', async () => {
    await expect(accountWith({ CLOUDFLARE_API_BASE_URL: 'http://127.0.0.1:1' }).whoami()).rejects.toThrow(
      /cannot be reached .* Check the network/,
    );
  });

  it('asks again when the API stumbles, and gives up when it does not recover', async () => {
    let failures = 2;
    server.fault = () => (failures-- > 0 ? { status: 502, code: 0, message: '' } : null);
    expect(await accountWith().listScripts()).toEqual([]);
    server.fault = () => ({ status: 502, code: 0, message: '' });
    await expect(accountWith().listScripts()).rejects.toThrow(/answered 502/);
  });

  it('makes a bucket once, and says when R2 was never switched on', async () => {
    const account = accountWith();
    expect(await account.hasBucket('models')).toBe(false);
    await account.createBucket('models');
    expect(await account.hasBucket('models')).toBe(true);
    server.fault = (request) => (request.includes('r2') ? { status: 403, code: 10042, message: 'Please enable R2' } : null);
    await expect(account.hasBucket('models')).rejects.toThrow(/open R2 in the Cloudflare dashboard/);
  });

  it('opens the bucket with the API token, and does not with a login alone', async () => {
    expect((await accountWith().openBucket('models')).label).toBe('models (remote)');
    expect(server.seen).toContain('GET /user/tokens/verify');
  });
});

describe('wrangler against the API', { timeout: 120_000 }, () => {
  it('says what is refused; deploys a generated Worker with its secrets, and removes it', async () => {
    const folder = join(temporaryFolder(), 'trial-edge-0123abcd');
    mkdirSync(folder, { recursive: true });
    const config = join(folder, 'wrangler.json');
    writeFileSync(
      join(folder, 'index.js'),
      'export class EdgeModel {}\nexport default { fetch: () => new Response(null, { status: 404 }) };',
    );
    writeFileSync(
      config,
      JSON.stringify({
        ...{ name: 'trial', main: 'index.js', no_bundle: true, compatibility_date: '2026-11-02', workers_dev: false, preview_urls: false },
        durable_objects: { bindings: [{ name: 'EDGE_MODEL', class_name: 'EdgeModel' }] },
        migrations: [{ tag: 'v1', new_sqlite_classes: ['EdgeModel'] }],
      }),
    );
    const account = accountWith();
    server.fault = (request) =>
      request.startsWith('PUT') ? { status: 400, code: 10027, message: 'Your Worker exceeded the size limit' } : null;
    await expect(account.deployScript(config, {})).rejects.toThrow(/Deploying trial-edge-0123abcd: the Worker is too large/);
    server.fault = () => null;
    await account.deployScript(config, { NEARSIDE_API_KEYS: 'f'.repeat(64) });
    expect(await account.listScripts()).toEqual(['trial']);
    const { metadata } = server.scripts.get('trial')!;
    expect(metadata).toContain('"EDGE_MODEL"');
    expect(metadata).toContain('f'.repeat(64));
    await account.putSecret('trial', 'NEARSIDE_ORIGIN_KEY', 'k');
    expect(await account.listSecrets('trial')).toEqual(['NEARSIDE_ORIGIN_KEY']);

    await account.deleteScript('trial');
    await account.deleteScript('trial');
    expect(await account.listScripts()).toEqual([]);
  });
});

describe('what the API refuses', () => {
  it.each([
    [10000, /the token may not do this.*Workers Scripts: Edit/],
    [10136, /R2 is not enabled/],
    [10037, /as many Workers as it may have.*--prune/],
    [10061, /a Worker it refers to is not there.*apply again/],
    [10085, /its bucket is not there/],
  ])('code %i is said in plain words', (code, message) => {
    expect(explain('Deploying x', { status: 400, code, message: 'jargon' }).message).toMatch(message);
  });

  it('is found in what wrangler prints', () => {
    const printed =
      '\u001b[31m✘ \u001b[41;31m[\u001b[41;97mERROR\u001b[41;31m]\u001b[0m A request to the Cloudflare API (/accounts/x/workers/scripts/y) failed.\n\n  workers.api.error.too_many [code: 10037]\n';
    expect(problemIn(printed)).toMatchObject({ code: 10037 });
    expect(problemIn('In a non-interactive environment, it is necessary to set a CLOUDFLARE_API_TOKEN')).toMatchObject({ status: 401 });
    expect(problemIn('Could not resolve "./missing"')).toBeNull();
  });

  it('keeps its own words where nobody knows better', () => {
    expect(explain('Deploying x', { status: 418, code: 4711, message: 'I am a teapot.\nmore' }).message).toBe(
      'Deploying x: Cloudflare answered 418, code 4711: I am a teapot.',
    );
  });
});
