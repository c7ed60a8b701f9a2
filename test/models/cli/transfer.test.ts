import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../../models/cli/main.ts';
import { RateMeter, transferLine } from '../../../models/cli/transfer-progress.ts';
import { packModel } from '../../../models/pack/pack-model.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { folderFiles, type HubServer, startHub } from '../../support/hub-server.ts';
import { type S3Server, startS3 } from '../../support/s3-server.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const CLI = fileURLToPath(new URL('../../../models/cli/index.ts', import.meta.url));
const folder = temporaryFolder();
const pack = join(folder, 'pack');
let hub: HubServer;
let s3: S3Server;
beforeAll(async () => {
  hub = await startHub({ name: 'org/tiny', files: folderFiles(checkpoint('llama-tied')), token: 'hf_right' });
  s3 = await startS3('models', 'key');
  await packModel(checkpoint('qwen3_5-untied'), pack, { quantization: 'q8_0', name: 'tiny' });
});
afterAll(async () => {
  await hub.close();
  await s3.close();
});
afterEach(() => vi.unstubAllEnvs());

async function models(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const into = (stream: keyof typeof written, end: string) => (text: unknown) => {
    written[stream] += `${text}${end}`;
    return true;
  };
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(into('stdout', '\n')),
    vi.spyOn(console, 'error').mockImplementation(into('stderr', '\n')),
    vi.spyOn(process.stderr, 'write').mockImplementation(into('stderr', '')),
  ];
  try {
    return { code: await main(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

describe('pull', () => {
  test('takes the hub and the token from the environment, and says how to serve what it made', async () => {
    vi.stubEnv('HF_ENDPOINT', hub.endpoint);
    vi.stubEnv('HF_TOKEN', 'hf_right');
    const out = join(folder, 'pulled');
    expect(await models('pull', 'org/tiny', out, '--quant', 'q8_0')).toEqual({
      code: 0,
      stdout: expect.stringMatching(/: tiny, q8_0, \d\.\d MB in \d files\. Serve it with: npm run dev -- --model .*pulled\n$/),
      stderr: expect.stringContaining('The source has no tokenizer'),
    });
    expect((await models('verify', out)).stdout).toContain('is sound');
  });

  test('without a token says how to get one', async () => {
    vi.stubEnv('HF_ENDPOINT', hub.endpoint);
    vi.stubEnv('HF_TOKEN', '');
    const { code, stdout, stderr } = await models('pull', 'org/tiny', join(folder, 'refused'));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^org\/tiny does not exist, or is private: .* set HF_TOKEN to it\.\n$/);
    expect(readdirSync(folder).filter((name) => name.startsWith('refused'))).toEqual([]);
  });

  test('says what it waits for', async () => {
    vi.stubEnv('HF_ENDPOINT', hub.endpoint);
    vi.stubEnv('HF_TOKEN', 'hf_right');
    let times = 1;
    hub.faults = [() => (times-- > 0 ? { kind: 'status', status: 429, headers: { 'retry-after': '0' } } : null)];
    const { code, stderr } = await models('pull', 'org/tiny', join(folder, 'waited'));
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('org/tiny: the server answered 429. Trying again in 0.0 s.\n'),
    });
  });

  const WRONG: [string[], string][] = [
    [['pull'], 'Expected OWNER/NAME or an address, and perhaps OUT, and got 0 arguments; see --help.'],
    [['pull', 'tiny'], '"tiny" is neither OWNER/NAME nor an https address; see --help.'],
    [['pull', 'org/tiny', 'out', '--quant', 'q5'], '--quant must be one of f32, q8_0, q4_0, and "q5" is not.'],
    [['pull', 'https://host/pack', 'out', '--quant', 'q8_0'], '--quant has no meaning for a finished pack.'],
    [['pull', 'org/tiny', 'out', '--connections', '0'], '--connections must be a whole number of at least 1, and "0" is not.'],
    [['push', 'pack'], '--bucket must be the name of an R2 bucket, and "" is not; see --help.'],
    [['push', 'pack', '--bucket', 'models', '--local', '--remote'], 'Choose --local or --remote.'],
    [['list', '--bucket', 'models', '--remote'], '--remote needs R2_ACCOUNT_ID, the id of the Cloudflare account.'],
    [['rm', '--bucket', 'models'], 'Expected PREFIX and got 0 arguments; see --help.'],
  ];
  test.each(WRONG)('%j is refused in one sentence', async (args, message) => {
    for (const name of ['R2_ACCOUNT_ID', 'CLOUDFLARE_ACCOUNT_ID', 'R2_ENDPOINT']) vi.stubEnv(name, '');
    expect(await models(...args)).toEqual({ code: 1, stdout: '', stderr: `${message}\n` });
  });
});

describe('a pack in R2', () => {
  const remote = ['--bucket', 'models', '--remote'];
  const stubKeys = () => {
    vi.stubEnv('R2_ENDPOINT', s3.endpoint);
    vi.stubEnv('R2_ACCESS_KEY_ID', 'key');
    vi.stubEnv('R2_SECRET_ACCESS_KEY', 'secret');
  };

  test.each([
    ['remote', remote],
    ['local', ['--bucket', 'models', '--persist-to', join(folder, 'state')]],
  ])('%s: pushed, listed, removed', async (where, bucket) => {
    stubKeys();
    expect(await models('list', ...bucket)).toMatchObject({ code: 0, stdout: `models (${where}) holds no packs.\n` });
    const pushed = await models('push', pack, ...bucket, '--prefix', 'qwen/v1');
    expect(pushed.stdout).toMatch(
      /: qwen\/v1, \d\.\d MB uploaded\.\nTo serve it, set NEARSIDE_EDGE_PACK = "qwen\/v1" in worker\/edge\/wrangler\.toml\.\n$/,
    );
    expect((await models('push', pack, ...bucket, '--prefix', 'qwen/v1')).stdout).toContain(': qwen/v1, nothing to upload.');
    expect((await models('list', ...bucket)).stdout).toMatch(/^qwen\/v1 {2}tiny, q8_0, \d\.\d MB\n$/);
    expect((await models('rm', 'qwen/v1', ...bucket)).stdout).toMatch(/^Removed qwen\/v1: \d+ objects, \d\.\d MB\.\n$/);
    expect(await models('rm', 'qwen/v1', ...bucket)).toMatchObject({
      code: 1,
      stderr: `There is no pack at qwen/v1 in models (${where}); see: list\n`,
    });
  });

  test('a push killed at any write goes on, and no list calls it finished before it is', async () => {
    stubKeys();
    for (const finished of [2, 4]) {
      const child = spawn(process.execPath, [CLI, 'push', pack, ...remote, '--prefix', 'killed'], { stdio: 'ignore' });
      let writes = 0;
      s3.fault = (request) => {
        if (request.startsWith('PUT')) writes++;
        if (writes > 2) child.kill('SIGKILL');
        return writes > 2 ? 'cut_before' : null;
      };
      expect(await new Promise((done) => child.once('exit', (_, signal) => done(signal)))).toBe('SIGKILL');
      s3.fault = () => null;
      expect(s3.objects.size).toBe(finished);
      expect((await models('list', ...remote)).stdout).toMatch(/^killed {2}\d\.\d MB, not finished: it has no manifest\n$/);
    }
    s3.seen.length = 0;
    expect((await models('push', pack, ...remote, '--prefix', 'killed')).code).toBe(0);
    expect(s3.seen.filter((request) => request.startsWith('PUT'))).toHaveLength(readdirSync(pack).length - 4);
    expect((await models('list', ...remote)).stdout).toMatch(/^killed {2}tiny, q8_0, \d\.\d MB\n$/);
  });
});

describe('progress', () => {
  test('a line tells what is done, the rate, and the time left', () => {
    expect(transferLine('Downloading', 512e6, 1770e6, 45.12e6)).toBe('Downloading: 512.0 of 1770.0 MB (28 %), 45.1 MB/s, 0:28 left');
    expect(transferLine('Downloading', 0, 20e9, 1e6)).toBe('Downloading: 0.0 of 20000.0 MB (0 %), 1.0 MB/s, 5:33:20 left');
    expect(transferLine('Downloading', 5e6, 10e6, null)).toBe('Downloading: 5.0 of 10.0 MB (50 %)');
  });

  test('the rate is that of the last ten seconds, and what was there before does not count', () => {
    const meter = new RateMeter();
    meter.add(0, 900e6);
    expect(meter.rate).toBe(null);
    for (let second = 1; second <= 20; second++) meter.add(second * 1000, 900e6 + second * 1e6);
    expect(meter.rate).toBe(1e6);
    for (let second = 21; second <= 40; second++) meter.add(second * 1000, 920e6 + (second - 20) * 3e6);
    expect(meter.rate).toBe(3e6);
  });
});
