import { spawn } from 'node:child_process';
import { join } from 'node:path';

export interface WranglerResult {
  code: number;
  /** Standard output and error, as they came. */
  output: string;
}

/**
 * Runs wrangler to its end, without a terminal, so that it asks nothing. In a process group of its own: a Ctrl-C ends our program, and what it was uploading is
 * uploaded whole or not at all.
 */
export function runWrangler(root: string, args: string[], env: Record<string, string | undefined> = {}): Promise<WranglerResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...args], {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_SANITIZE: 'true', CI: 'true', NO_COLOR: '1', ...process.env, ...env },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
