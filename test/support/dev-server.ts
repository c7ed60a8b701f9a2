import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface DevServer {
  /** For instance http://127.0.0.1:43117, without a trailing slash. */
  url: string;
  process: ChildProcess;
  /** Everything printed so far, both streams. */
  output(): string;
  /** Ctrl-C; resolves with the exit code once the process is gone. */
  stop(): Promise<number | null>;
}

/** A TCP port on loopback that nothing listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

/**
 * Starts `npm run dev` as a user would, in its own process group, and waits until /healthz answers.
 * @param args arguments after `--`, for instance ['--var', 'NEARSIDE_ORIGIN_URL:http://127.0.0.1:8080/v1']
 * @throws with the printed output when it exits or is not ready in time
 */
export async function startDevServer(args: string[] = [], options: { cwd?: string; timeoutMs?: number } = {}): Promise<DevServer> {
  const port = await freePort();
  const child = spawn('npm', ['run', '--silent', 'dev', '--', '--port', String(port), ...args], {
    cwd: options.cwd ?? ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CI: 'true', NO_COLOR: '1' },
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  // A group of its own gets no Ctrl-C from the terminal of a benchmark.
  const interrupt = () => process.kill(-child.pid!, 'SIGINT');
  process.once('exit', interrupt);
  exited.then(() => process.off('exit', interrupt));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) interrupt();
    const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 15_000);
    const code = await exited;
    clearTimeout(timer);
    return code;
  };
  const deadline = Date.now() + (options.timeoutMs ?? 120_000);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`npm run dev exited with ${child.exitCode}:\n${text}`);
    const ready = await fetch(`${url}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return { url, process: child, output: () => text, stop };
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`npm run dev was not ready in time:\n${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
