import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Message } from './measurement.ts';

/**
 * Runs one measurement in a process of its own and hands over its messages. Only one runs at a time, so that nothing else takes its memory bandwidth.
 * @param script path relative to this folder. @throws when it fails
 */
export async function runChild(script: string, args: object, onMessage: (message: Message) => void): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), JSON.stringify(args)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    // A native library may print, too.
    if (line.startsWith('{"kind":')) onMessage(JSON.parse(line) as Message);
  }
  const code = await exited;
  if (code !== 0) throw new Error(`${script} failed (exit ${code}).`);
}
