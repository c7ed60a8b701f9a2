import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packModel } from '../../models/pack/pack-model.ts';
import { type DevServer, freePort, startDevServer } from '../support/dev-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs what `npm run dev` runs, with arguments that should make it end by itself. */
function runDev(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/dev.ts', ...args], { cwd: ROOT }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

async function chat(url: string, body: Record<string, unknown> = {}): Promise<{ route: string | null; json: Record<string, unknown> }> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'nearside-auto', messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 8, ...body }),
  });
  return { route: response.headers.get('x-nearside-route'), json: (await response.json()) as Record<string, unknown> };
}

/** Pids of processes whose command line holds this text. */
async function processesWith(text: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return pids.filter((_, i) => lines[i]!.includes(text));
}

describe('npm run dev, with nothing configured', () => {
  let server: DevServer;
  beforeAll(async () => {
    server = await startDevServer();
  });
  afterAll(() => server.stop());

  it('answers from the demo model, and says in its output which model that is and how to use another', async () => {
    expect(server.output()).toContain('nearside-demo');
    expect(server.output()).toContain('npm run -s models -- pack');
    const { route, json } = await chat(server.url, { messages: [{ role: 'user', content: 'What is the capital of France?' }] });
    expect(route).toBe('edge');
    expect(json).toMatchObject({ model: 'nearside-demo', choices: [{ message: { content: 'Paris' } }] });
  });

  it('keeps the pack to itself', async () => {
    for (const path of ['/manifest.json', '/tokenizer.bin']) {
      expect((await fetch(`${server.url}${path}`)).status).toBe(404);
    }
  });

  it('stops at Ctrl-C with code 0 and leaves no process behind', async () => {
    const port = new URL(server.url).port;
    expect((await processesWith(`127.0.0.1:${port}`)).length).toBeGreaterThan(0);
    expect(await server.stop()).toBe(0);
    expect(await processesWith(`127.0.0.1:${port}`)).toEqual([]);
    await expect(fetch(server.url)).rejects.toThrow();
  });
});

describe('npm run dev -- --fixture', () => {
  it('answers from random weights, and says so in its output and in /healthz', async () => {
    const server = await startDevServer(['--fixture']);
    try {
      expect(server.output()).toContain('RANDOM WEIGHTS');
      const health = await (await fetch(`${server.url}/healthz`)).text();
      expect(health).toContain('"fixture":true');
      const { route, json } = await chat(server.url);
      expect(route).toBe('edge');
      expect(json.model).toBe('nearside-fixture');
    } finally {
      await server.stop();
    }
  });
});

describe('npm run dev -- --model', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nearside-dev-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('serves that pack from R2, with the variables it is given', async () => {
    const gguf = join(folder, 'model.gguf');
    await new Promise((resolve) =>
      execFile(process.execPath, [join(ROOT, 'test/support/make-gguf.mjs'), '--preset', 'tiny', '--type', 'f16', gguf], resolve),
    );
    const pack = join(folder, 'pack');
    await packModel(gguf, pack, { quantization: 'q4_0', name: 'my-own-model', fixture: true });
    const server = await startDevServer(['--model', pack, '--var', 'NEARSIDE_EDGE_MAX_TOKENS:5', '--var', 'NEARSIDE_EDGE_QUEUE:3']);
    try {
      expect(server.output()).toContain('my-own-model');
      expect((await chat(server.url)).json).toMatchObject({ error: { type: expect.any(String) } });
      const { json } = await chat(server.url, { max_tokens: 5 });
      expect(json.model).toBe('my-own-model');
    } finally {
      expect(await server.stop()).toBe(0);
    }
  });
});

describe('npm run dev says what is wrong in one sentence', () => {
  it('a port in use', async () => {
    const port = await freePort();
    const other = createServer().listen(port, '127.0.0.1');
    const { code, output } = await runDev('--port', String(port));
    other.close();
    expect(code).toBe(1);
    expect(output.trim()).toBe(`Port ${port} is in use by another program: stop that, or choose another with --port.`);
  });

  it('a folder that is no pack', async () => {
    const { code, output } = await runDev('--port', String(await freePort()), '--model', ROOT);
    expect(code).toBe(1);
    expect(output).toMatch(/is not a pack/);
    expect(output).not.toContain(' at ');
  });

  it.each([
    [['--prot', '1'], /--prot/],
    [['--port', 'x'], /--port must be a number/],
    [['--var', 'NEARSIDE_DEV=1'], /NAME:VALUE/],
  ])('%j', async (args, message) => {
    const { code, output } = await runDev(...args);
    expect(code).toBe(1);
    expect(output).toMatch(message);
  });

  it('and --help tells the options', async () => {
    const { code, output } = await runDev('--help');
    expect(code).toBe(0);
    for (const option of ['--port', '--model', '--var']) expect(output).toContain(option);
  });
});
