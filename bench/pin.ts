import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

const cores = process.platform === 'linux' ? availableParallelism() : 1;
export const everyCore = `0-${cores - 1}`;

/**
 * Keeps this process, and what it starts from now on, on the given cores (as taskset writes them: `1`, `0-3`). False where that cannot be done: one core only, no Linux, no
 * taskset.
 */
export function pinTo(list: string): boolean {
  if (cores < 2) return false;
  try {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', list, String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
