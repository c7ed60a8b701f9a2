import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../test/support/dev-server.ts';
import { serveGateway, serveModules } from '../../test/support/workerd-serve.ts';
import { installPeer, peerFile } from '../engine/peers/install.ts';
import { pinTo } from '../pin.ts';
import type { Target } from './load.ts';

export const DIRECT = 'origin alone';
export const BARE = 'bare Worker';
export const LEAST = 'least Worker';
export const OURS = 'Nearside';
export const PORTKEY = 'Portkey';
/** Both choose between two endpoints, retry and time out: what ours always does, and Portkey where it is told to. */
export const OURS_CHOOSING = 'Nearside, two endpoints';
export const PORTKEY_CHOOSING = 'Portkey, two targets';

export interface Contender {
  name: string;
  /** It is there for whole answers only. */
  wholeOnly?: boolean;
  target: Target;
  /** Its process; null for the origin alone. */
  pid: number | null;
  stop(): Promise<void>;
}

/** As docs/decisions/0011 recommends for a workerd of one's own. */
export const v8Flags = ['--max-semi-space-size=2'];

const path = '/v1/chat/completions';
const key = 'sk-bench';
const withKey = { authorization: `Bearer ${key}` };
const keyDigest = createHash('sha256').update(key).digest('hex');

/** One core for whoever is measured, the other for the origin and the load, as far as the system lets us: `taskset` is Linux's. */
export const cores = pinTo('1') ? { contender: ['taskset', '-c', '0'], other: ['taskset', '-c', '1'] } : { contender: [], other: [] };

/** The origin, on the load's core. */
export async function startOrigin(): Promise<Contender> {
  const script = fileURLToPath(new URL('origin.ts', import.meta.url));
  const command = [...cores.other, process.execPath, script];
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { name: DIRECT, target: { port: Number(port), path, headers: {} }, pid: null, stop: () => kill(child) };
}

/** The ten lines of pass-through.js. */
export function startBare(folder: string, originUrl: string): Promise<Contender> {
  return startModule(BARE, 'pass-through.js', folder, { ORIGIN: originUrl }, {});
}

/** What least.js does. It passes streams on unseen, as the bare Worker does. */
export function startLeast(folder: string, originUrl: string): Promise<Contender> {
  return startModule(LEAST, 'least.js', folder, { ORIGIN: originUrl, KEY_DIGEST: keyDigest }, withKey);
}

async function startModule(
  name: string,
  file: string,
  folder: string,
  variables: Record<string, string>,
  headers: Record<string, string>,
): Promise<Contender> {
  mkdirSync(folder, { recursive: true });
  copyFileSync(new URL(file, import.meta.url), join(folder, file));
  const { port, process, stop } = await serveModules(folder, variables, { launcher: cores.contender, v8Flags });
  return { name, target: { port, path, headers }, pid: process.pid!, stop };
}

/** The bundle that is deployed, with a key to be shown. */
export function startOurs(folder: string, originUrl: string, inspector = false): Promise<Contender & { inspectorUrl: string }> {
  return startBundle(OURS, folder, [originUrl], inspector);
}

/** The same with a pool of two endpoints, which are one origin by two names. */
export async function startOursChoosing(folder: string, originUrl: string): Promise<Contender> {
  return { ...(await startBundle(OURS_CHOOSING, folder, namesOf(originUrl), false)), wholeOnly: true };
}

const namesOf = (originUrl: string): string[] => [originUrl, originUrl.replace('127.0.0.1', 'localhost')];

async function startBundle(name: string, folder: string, originUrls: string[], inspector: boolean) {
  mkdirSync(folder, { recursive: true });
  const variables = {
    NEARSIDE_API_KEYS: keyDigest,
    NEARSIDE_ORIGINS: JSON.stringify([{ model: 'pool', endpoints: originUrls.map((url) => ({ url: `${url}/v1` })) }]),
  };
  const server = await serveGateway(folder, variables, { launcher: cores.contender, inspector, v8Flags });
  const target = { port: server.port, path, headers: withKey };
  return { name, target, pid: server.process.pid!, stop: server.stop, inspectorUrl: server.inspectorUrl };
}

/**
 * Portkey's gateway under this Node, told by headers where to send a request. Nothing else is asked of it: it chooses nothing, retries nothing and waits as long as it takes.
 * Answers why it is not there when it cannot be installed.
 */
export function startPortkey(originUrl: string): Promise<Contender | string> {
  const headers = { authorization: `Bearer ${key}`, 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${originUrl}/v1` };
  return startPortkeyWith(PORTKEY, headers);
}

/**
 * The same with as many of our gateway's duties as its configuration has, as its documentation has them set (portkey.ai/docs: AI gateway, load balancing, automatic retries,
 * request timeouts; a self-hosted gateway takes a configuration by this header): a choice by weight between two targets, which are one origin by two names, two
 * retries after those of our statuses that its documentation names, and a time limit, which is ours. It checks no key, balances without looking at load, and writes no log.
 */
export async function startPortkeyChoosing(originUrl: string): Promise<Contender | string> {
  const targets = namesOf(originUrl).map((url) => ({ provider: 'openai', api_key: key, custom_host: `${url}/v1`, weight: 0.5 }));
  const retry = { attempts: 2, on_status_codes: [408, 429, 500, 502, 503, 504] };
  const config = { strategy: { mode: 'loadbalance' }, retry, request_timeout: 600_000, targets };
  const started = await startPortkeyWith(PORTKEY_CHOOSING, { 'x-portkey-config': JSON.stringify(config) });
  return typeof started === 'string' ? started : { ...started, wholeOnly: true };
}

async function startPortkeyWith(name: string, headers: Record<string, string>): Promise<Contender | string> {
  const missing = installPeer('portkey');
  if (missing) return missing;
  const port = await freePort();
  const script = peerFile('@portkey-ai/gateway/build/start-server.js');
  const command = [...cores.contender, process.execPath, script, '--headless', `--port=${port}`];
  const child = spawn(command[0]!, command.slice(1), { stdio: 'ignore', env: { ...process.env, NODE_ENV: 'production' } });
  for (const start = Date.now(); ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const there = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (there) break;
    if (child.exitCode === null && Date.now() - start < 20_000) continue;
    await kill(child);
    return 'it does not listen';
  }
  return { name, target: { port, path, headers }, pid: child.pid!, stop: () => kill(child) };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
