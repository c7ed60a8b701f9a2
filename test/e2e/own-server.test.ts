import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { get as getByTls } from 'node:https';
import { createRequire } from 'node:module';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildServer } from '../../scripts/server/build.ts';
import { type FaultOrigin, startFaultOrigin } from '../support/fault-origin.ts';
import { type Program, startProgram } from '../support/own-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** The built programs, gateway and engine in processes of their own, as on a server of one's own. */
const folder = temporaryFolder();
const home = join(folder, 'server');
const NEARSIDE_WORKERD = join(dirname(createRequire(import.meta.url).resolve('workerd/package.json')), 'bin/workerd');
const ROOT = join(import.meta.dirname, '../..');
let origin: FaultOrigin;
let edge: Program;

beforeAll(async () => {
  await buildServer(home);
  origin = await startFaultOrigin();
  edge = await startProgram(home, ['edge', '--model', join(ROOT, 'models/demo/pack'), '--port', '0', '--threads', '1', '--nice', '10'], {
    NEARSIDE_EDGE_KEY: 'shared',
  });
});

afterAll(async () => {
  edge?.process.kill('SIGKILL');
  await origin?.close();
});

const ask = (url: string, model: string, content: string, more: object = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sesame' },
    body: JSON.stringify({ model, max_tokens: 16, messages: [{ role: 'user', content }], ...more }),
  });

describe.each(['workerd', 'node'])('the gateway in %s', (runtime) => {
  const settings = join(folder, `settings-${runtime}`);
  const origins = join(folder, `origins-${runtime}.json`);
  const pool = (model: string) => JSON.stringify([{ model, modalities: ['text', 'image'], endpoints: [{ name: 'a', url: origin.url }] }]);
  const start = () =>
    startProgram(
      home,
      ['gateway', '--host', '127.0.0.1', '--port', '0', '--runtime', runtime, '--settings', settings, '--origins', origins],
      {
        NEARSIDE_WORKERD,
        NEARSIDE_EDGE_URL: edge.url,
        NEARSIDE_EDGE_KEY: 'shared',
      },
    );
  let gateway: Program;

  beforeAll(async () => {
    // SHA-256 of "sesame".
    writeFileSync(settings, '# who may call\nNEARSIDE_API_KEYS="d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272"\n');
    writeFileSync(origins, pool('big'));
    gateway = await start();
  });
  afterAll(() => gateway?.process.kill('SIGKILL'));

  it('answers from the engine, and from an origin', async () => {
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    const small = await ask(gateway.url, 'nearside-demo', 'What is the capital of France?');
    expect(small.headers.get('x-nearside-route')).toBe('edge');
    expect(await small.json()).toMatchObject({ choices: [{ message: { content: 'Paris' } }] });
    const big = await ask(gateway.url, 'big', 'role; tokens 3; finish; done', { stream: true });
    expect(big.headers.get('x-nearside-route')).toBe('origin');
    expect(await big.text()).toContain('[DONE]');
    expect((await fetch(`${gateway.url}/v1/models`)).status).toBe(401);
    const pixel = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
    const content = [{ type: 'image_url', image_url: { url: pixel } }];
    const seen = await ask(gateway.url, 'big', '', { messages: [{ role: 'user', content }] });
    expect(seen.status).toBe(200);
    const broken = [{ type: 'image_url', image_url: { url: 'data:image/png;base64,?' } }];
    expect((await ask(gateway.url, 'big', '', { messages: [{ role: 'user', content: broken }] })).status).toBe(400);
  });

  it('reads its settings again on SIGHUP, with a stream running and no connection refused', async () => {
    const stream = await ask(gateway.url, 'big', 'role; tokens 40 25; finish; done', { stream: true });
    writeFileSync(origins, pool('bigger'));
    let running = true;
    const answers = new Set<number | string>();
    const probing = (async () => {
      while (running) answers.add(await askAnew(`${gateway.url}/healthz`));
    })();
    gateway.process.kill('SIGHUP');
    await gateway.said('"reloaded"');
    expect(await stream.text()).toContain('[DONE]');
    running = false;
    await probing;
    // workerd closes connections that have not asked yet (docs/own-server.md); Node goes on with all of them.
    if (runtime === 'workerd') answers.delete('ECONNRESET');
    expect([...answers]).toEqual([200]);
    expect((await again(() => ask(gateway.url, 'bigger', ''))).status).toBe(200);
    expect((await again(() => ask(gateway.url, 'big', ''))).status).toBe(404);
  });

  it('goes on with what it has when the new settings are wrong, and says what is', async () => {
    writeFileSync(origins, '[{"model": "bigger"}]');
    gateway.process.kill('SIGHUP');
    await gateway.said('"not_reloaded"');
    expect(gateway.output()).toContain('NEARSIDE_ORIGINS');
    expect((await again(() => ask(gateway.url, 'bigger', ''))).status).toBe(200);
    writeFileSync(origins, pool('big'));
  });

  it('told to stop, finishes the streams that run, sends others away, and ends', async () => {
    const older = await ask(gateway.url, 'bigger', 'role; tokens 120 25; finish; done', { stream: true });
    gateway.process.kill('SIGHUP');
    while ((await again(() => ask(gateway.url, 'big', ''))).status !== 200);
    const stream = await again(() => ask(gateway.url, 'big', 'role; tokens 60 25; finish; done', { stream: true }));
    gateway.process.kill('SIGTERM');
    const look = () => again(() => fetch(`${gateway.url}/readyz`));
    let ready = await look();
    while (ready.status === 200) ready = await look();
    expect(ready.status).toBe(503);
    const late = await again(() => ask(gateway.url, 'big', ''));
    expect([late.status, late.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await stream.text()).toContain('[DONE]');
    expect(await Promise.race([older.text(), gateway.exited])).toContain('[DONE]');
    expect(await gateway.exited).toEqual([0, null]);
    // Whatever had the socket is gone too.
    await expect(fetch(`${gateway.url}/readyz`)).rejects.toThrow();
  });

  it('refuses settings that cannot work in one sentence', async () => {
    writeFileSync(settings, 'NEARSIDE_KEEPALIVE_MS=soon\n');
    await expect(start()).rejects.toThrow(/NEARSIDE_KEEPALIVE_MS is not valid/);
    writeFileSync(settings, 'a secret without a name\n');
    const error = await start().catch(String);
    expect(error).toMatch(/settings-\w+, line 1: write NEARSIDE_NAME=VALUE/);
    expect(error).not.toContain('a secret');
  });
});

/** On a connection of its own. @returns the status, or the code of what went wrong */
const askAnew = (url: string): Promise<number | string> =>
  new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => resolve(response.resume().statusCode!));
    request.once('error', ({ code }: NodeJS.ErrnoException) => resolve(String(code)));
  });

/** A server that is told to finish closes connections without a request, perhaps just when one is written to it: such a one is tried again. */
const again = (request: () => Promise<Response>): Promise<Response> =>
  request().catch((error: Error) => (/other side closed|ECONNRESET/.test(String(error.cause)) ? request() : Promise.reject(error)));

it('has the engine stand back for other programs of the machine', () => {
  expect(getPriority(edge.process.pid!)).toBeGreaterThanOrEqual(10);
});

it('serves https by file', async () => {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(ROOT, 'test/fixtures/tls', name)) as [string, string];
  for (const runtime of ['workerd', 'node']) {
    const args = ['gateway', '--host', '127.0.0.1', '--port', '0', '--runtime', runtime, '--tls-key', key, '--tls-cert', cert];
    const gateway = await startProgram(home, args, { NEARSIDE_WORKERD, NEARSIDE_DEV: '1' });
    expect(gateway.url).toMatch(/^https:/);
    const [response] = (await once(getByTls(`${gateway.url}/healthz`, { ca: readFileSync(cert) }), 'response')) as [IncomingMessage];
    expect(await json(response)).toMatchObject({ status: 'ok' });
    gateway.process.kill('SIGTERM');
    expect(await gateway.exited).toEqual([0, null]);
  }
});

it('says what to do about a workerd that is not there, and about an address that is not its own', async () => {
  const gateway = (args: string[], workerd: string) =>
    startProgram(home, ['gateway', '--port', '0', ...args], { NEARSIDE_WORKERD: workerd });
  await expect(gateway(['--host', '127.0.0.1'], '/nonexistent/workerd')).rejects.toThrow(
    '/nonexistent/workerd cannot be run (ENOENT): set NEARSIDE_WORKERD',
  );
  // An address of documentation: nobody has it.
  await expect(gateway(['--host', '192.0.2.1'], NEARSIDE_WORKERD)).rejects.toThrow('192.0.2.1:0 is not an address of this machine');
});

it('has everything that it needs in its folder', () => {
  expect(existsSync(join(home, 'node_modules'))).toBe(false);
  const models = (...args: string[]) =>
    execFileSync(process.execPath, [join(home, 'bin/nearside'), 'models', ...args], { cwd: '/', encoding: 'utf8' });
  expect(models('verify', join(ROOT, 'models/demo/pack'))).toContain('is sound');
  expect(models('pull', '--help')).toMatch(/^nearside models pull /);
});
