import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** How long wrangler may take to stop by itself. */
const STOP_MS = 5000;

/**
 * Runs wrangler until it ends or this process is told to (SIGINT, SIGTERM, SIGHUP), and never leaves a process of it behind. It gets a process group of its
 * own: a terminal's Ctrl-C then reaches it once, from here, and what remains of it can be killed as a group.
 * @returns the exit code: 0 after a signal
 */
export async function runWrangler(root: string, args: string[]): Promise<number> {
  const child = spawn(process.execPath, [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...args], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true', ...process.env },
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  let stopping = false;
  const killGroup = (signal: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // Nothing of it is left.
    }
  };
  const stop = () => {
    if (stopping) return;
    stopping = true;
    child.kill('SIGINT');
    setTimeout(() => killGroup('SIGKILL'), STOP_MS).unref();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  process.once('exit', () => killGroup('SIGKILL'));
  const code = await exited;
  killGroup('SIGKILL');
  return stopping ? 0 : (code ?? 1);
}
