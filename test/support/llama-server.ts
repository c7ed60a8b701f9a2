import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort } from './dev-server.ts';

/** What `npm run fetch:llama-server` installs: llama.cpp build 11549 with its own C++ HTTP server, as a wheel. */
export const LLAMA_SERVER_PACKAGE = 'xllamacpp==2026.10.11549';
export const LLAMA_SERVER_SITE = fileURLToPath(new URL('../../.cache/llama-server', import.meta.url));
/** The name the server gives its model, unless it is told another one. */
export const LLAMA_SERVER_MODEL = 'llama-origin';

export interface LlamaServer {
  /** For instance http://127.0.0.1:41233, without /v1. */
  url: string;
  port: number;
  process: ChildProcess;
  /**
   * Resolves once some slot works, or none does; throws after `timeoutMs`. Returns the milliseconds it took. Looks every 10 ms, and every look at /slots
   * starts anew the one second after which the server checks whether a client that waits for its first byte is still there: to see such a request
   * cancelled, wait with `isBusy` instead.
   */
  waitUntil(state: 'busy' | 'idle', timeoutMs: number): Promise<number>;
  /** Whether some slot works, by one look after `afterMs` in which the server is left alone. */
  isBusy(afterMs: number): Promise<boolean>;
  /** A counter or gauge of /metrics, for instance 'tokens_predicted_total'. */
  metric(name: string): Promise<number>;
  /** Ends the process with SIGKILL, in the middle of whatever it does. */
  kill(): Promise<void>;
}

/**
 * Starts llama.cpp's server on `model` (a GGUF file; `vision` is that of its vision tower) and waits until it is healthy.
 * @throws when it was not fetched, or with its output when it exits or is not healthy in time
 */
export async function startLlamaServer(
  model: string,
  options: { slots?: number; context?: number; port?: number; name?: string; vision?: string } = {},
): Promise<LlamaServer> {
  if (!existsSync(LLAMA_SERVER_SITE)) throw new Error('llama-server is not there: run `npm run fetch:llama-server` first.');
  const port = options.port ?? (await freePort());
  const script = fileURLToPath(new URL('./llama_server.py', import.meta.url));
  const args = [model, `${port}`, `${options.slots ?? 2}`, `${options.context ?? 2048}`, options.name ?? LLAMA_SERVER_MODEL];
  if (options.vision) args.push(options.vision);
  const child = spawn(process.env.PYTHON ?? 'python3', [script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONPATH: LLAMA_SERVER_SITE },
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  const healthy = await poll(30_000, async () => {
    if (child.exitCode !== null) throw new Error(`llama-server exited with ${child.exitCode}:\n${output}`);
    return await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
  });
  if (healthy === null) {
    await kill();
    throw new Error(`llama-server was not healthy in time:\n${output}`);
  }
  const busy = async () =>
    ((await (await fetch(`${url}/slots`)).json()) as { is_processing: boolean }[]).some((slot) => slot.is_processing);
  return {
    url,
    port,
    process: child,
    kill,
    async waitUntil(state, timeoutMs) {
      const took = await poll(timeoutMs, async () => (await busy()) === (state === 'busy'));
      if (took === null) throw new Error(`llama-server was not ${state} within ${timeoutMs} ms`);
      return took;
    },
    async isBusy(afterMs) {
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      return await busy();
    },
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`llamacpp:${name} `));
      if (line === undefined) throw new Error(`llama-server has no metric ${name}`);
      return Number(line.split(' ')[1]);
    },
  };
}

/** Asks every 10 ms until `ready` says true. Returns the milliseconds it took, or null when time ran out. */
async function poll(timeoutMs: number, ready: () => Promise<boolean>): Promise<number | null> {
  const start = performance.now();
  for (;;) {
    if (await ready()) return performance.now() - start;
    if (performance.now() - start > timeoutMs) return null;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
