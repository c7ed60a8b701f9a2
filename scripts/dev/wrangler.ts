import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** How long wrangler may take to stop by itself. */
const STOP_MS = 5000;

/**
 * Runs wrangler until it ends, this process is told to stop (SIGINT, SIGTERM, SIGHUP) or its parent is gone, and never leaves a process of it behind. It gets a process group of its
 * own: a terminal's Ctrl-C then reaches it once, from here, and what remains of it can be killed as a group. What it complains of once it is told to stop is not shown: esbuild's
 * process, which loses wrangler in the middle of a build, ends with a trace of all its threads.
 * @returns the exit code: 0 after a signal
 */
export async function runWrangler(root: string, args: string[]): Promise<number> {
  // It would look at where its complaints go, which is not a terminal any more.
  const colour = process.stdout.isTTY && process.stderr.isTTY && !process.env.NO_COLOR ? { FORCE_COLOR: '1' } : {};
  const child = spawn(process.execPath, [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...args], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'inherit', 'pipe'],
    // Nothing here needs the network: no usage statistics, and no look-up of where this machine is.
    env: { WRANGLER_SEND_METRICS: 'false', CLOUDFLARE_CF_FETCH_ENABLED: 'false', ...colour, ...process.env },
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  let stopping = false;
  child.stderr.on('data', (chunk: Buffer) => stopping || process.stderr.write(chunk));
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
  // npm runs scripts in a shell, and a signal to npm alone ends the shell without a word to this process.
  const parent = process.ppid;
  const watch = setInterval(() => process.ppid !== parent && stop(), 500);
  const code = await exited;
  clearInterval(watch);
  killGroup('SIGKILL');
  return stopping ? 0 : (code ?? 1);
}
