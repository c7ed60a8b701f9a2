import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  checkAccount,
  checkClock,
  checkMemory,
  checkNode,
  checkOrigin,
  checkPack,
  checkSecrets,
  checkWrangler,
} from '../../../scripts/doctor/checks.ts';
import { type CloudflareServer, cloudflareToken, startCloudflare } from '../../support/cloudflare-server.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIGEST = 'ab'.repeat(32);

describe('checks', () => {
  it.each([
    [checkNode('v20.11.0', '24.21.0'), 'fail', 'npm ci'],
    [checkWrangler(null, '4.1.0'), 'fail', 'npm ci'],
    [checkWrangler('4.0.0', '4.1.0'), 'warn', '4.1.0'],
    [checkAccount(new Error('Cloudflare does not accept the token.')), 'fail', 'token'],
    [checkSecrets(['NEARSIDE_API_KEYS'], [], () => undefined)[0]!, 'fail', 'set it'],
    [checkSecrets(['NEARSIDE_API_KEYS'], null, () => undefined)[0]!, 'warn', 'without an account'],
    [checkSecrets(['NEARSIDE_API_KEYS'], [], () => 'sk-plain')[0]!, 'fail', 'sha256sum'],
    [checkSecrets(['NEARSIDE_API_KEYS'], [], () => DIGEST)[0]!, 'ok', 'environment'],
    [checkPack('m', 1e6, ['layer-00.bin is missing.']), 'fail', 'layer-00.bin is missing. Pull'],
    [checkMemory([120e6], 100e6), 'fail', 'fewer sessions'],
    [checkMemory([120e6], 125e6), 'warn', '128'],
    [checkOrigin('a', 'm', { status: 401, models: [] }, true), 'fail', 'refuses the key'],
    [checkOrigin('a', 'm', { status: 401, models: [] }, false), 'warn', 'wants a key'],
    [checkOrigin('a', 'm', { status: 200, models: ['other'] }, true), 'fail', 'does not serve m but other'],
    [checkOrigin('a', 'm', { status: 404, models: [] }, true), 'warn', '/v1'],
    [checkClock(-1_200_000), 'fail', '1200 s behind'],
    [checkClock(120_000), 'warn', 'ahead'],
    [checkClock(null), 'warn', 'time'],
  ])('%j', (finding, state, says) => {
    expect(finding.state).toBe(state);
    expect(finding.says).toContain(says);
  });

  it('does not print a key that was given in the place of its digest', () => {
    expect(JSON.stringify(checkSecrets(['NEARSIDE_API_KEYS'], [], () => 'sk-plain'))).not.toContain('sk-plain');
  });
});

describe('npm run doctor', { timeout: 120_000 }, () => {
  const folder = temporaryFolder();
  const origin = createServer((request, response) => {
    const ok = request.headers.authorization === 'Bearer right';
    response.writeHead(ok ? 200 : 401).end(JSON.stringify({ data: [{ id: 'big' }] }));
  });
  let api: CloudflareServer;
  beforeAll(async () => {
    api = await startCloudflare();
    await new Promise<void>((done) => origin.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/v1`;
    const endpoint = `{ name = "gpu", url = "${url}", secret = "NEARSIDE_ORIGIN_KEY" }`;
    writeFileSync(join(folder, 'n.toml'), `[model]\npack = "models/demo/pack"\n[[origins]]\nmodel = "big"\nendpoints = [${endpoint}]\n`);
  });
  afterAll(async () => {
    await api.close();
    origin.close();
  });

  const run = (env: Record<string, string>) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      const all = {
        ...process.env,
        CLOUDFLARE_API_BASE_URL: api.baseUrl,
        CLOUDFLARE_API_TOKEN: cloudflareToken,
        NEARSIDE_API_KEYS: DIGEST,
        ...env,
      };
      execFile(
        process.execPath,
        [join(ROOT, 'scripts/doctor.ts'), '--config', join(folder, 'n.toml')],
        { env: all },
        (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
      );
    });

  it('finds everything well', async () => {
    const { code, output } = await run({ NEARSIDE_ORIGIN_KEY: 'right' });
    expect(output).not.toContain('fail');
    expect(output).toMatch(/ok +origin gpu +serves big/);
    expect(output).toMatch(/ok +account +test account/);
    expect(output).toMatch(/ok +clock/);
    expect(code).toBe(0);
  });

  it('ends with 1 when a key or the token is wrong', async () => {
    const { code, output } = await run({ NEARSIDE_ORIGIN_KEY: 'wrong', CLOUDFLARE_API_TOKEN: 'stale' });
    expect(code).toBe(1);
    expect(output).toMatch(/fail +origin gpu +It refuses the key/);
    expect(output).toMatch(/fail +account +Cloudflare does not accept the token/);
    expect(output).not.toMatch(/stale|wrong\b/);
  });
});
