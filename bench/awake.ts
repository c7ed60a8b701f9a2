import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/**
 * Keeps every core from sleeping while figures of less than a millisecond are taken: a process of the lowest priority (SCHED_IDLE) computes on each, and gives way at once to whoever
 * wants to run. A virtual core that has halted takes a good part of such a figure to come back, which is the host's time and nobody's work: whoever is woken often pays it often, and each
 * contender alike. Null where that cannot be done: no Linux, no taskset or chrt.
 * @returns ends them
 */
export function keepAwake(): (() => void) | null {
  const idle = ['chrt', '--idle', '0'];
  if (process.platform !== 'linux' || spawnSync('taskset', ['-c', '0', ...idle, 'true']).status !== 0) return null;
  const children: ChildProcess[] = [];
  for (let core = 0; core < availableParallelism(); core++) {
    // It looks whether this process is still there, as a loop hears no signal but the last one.
    const loop = `const parent = ${process.pid}; for (let i = 0; ; i++) if (i % 1e8 === 0) try { process.kill(parent, 0) } catch { process.exit() }`;
    children.push(spawn('taskset', ['-c', String(core), ...idle, process.execPath, '--eval', loop], { stdio: 'ignore' }));
  }
  return () => {
    for (const child of children) child.kill('SIGKILL');
  };
}
