import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * How far the engine stands back for other programs of this machine: "idle", so that whoever wakes up takes the processor from it (Linux: SCHED_IDLE, sched(7)), or a nice value from
 * 0 (like others) to 19 (last).
 */
export type Nice = 'idle' | number;

export const DEFAULT_NICE: Nice = 'idle';

/** Where there is no SCHED_IDLE: a ninth of the weight of others. */
const FALLBACK_NICE = 10;
const LAST_NICE = 19;

/**
 * Lets other programs of this machine go first, above all a gateway that passes streams on. To be called before threads are started: they take it over. Leaves a process that stands
 * back further already as it is. Returns how far it stands back now, for people.
 */
export function standBack(nice: Nice, chrt = 'chrt'): string {
  if (nice !== 'idle') return standBackBy(nice);
  const [isIdle, why] = process.platform === 'linux' ? becomeIdle(chrt) : [false, 'idle is only on Linux'];
  if (!isIdle) return `${standBackBy(FALLBACK_NICE)} (${why})`;
  standBackAsSession(LAST_NICE);
  return 'idle';
}

/** Threads that are there are put back, too. Node has no call for it. */
function becomeIdle(chrt: string): [isIdle: boolean, why: string] {
  const { status, error } = spawnSync(chrt, ['-a', '-i', '-p', '0', String(process.pid)], { stdio: 'ignore' });
  return [status === 0, error ? 'for idle, the program chrt of util-linux is missing' : 'chrt could not make it idle'];
}

function standBackBy(nice: number): string {
  try {
    if (getPriority() < nice) setPriority(nice);
    if (nice > 0) standBackAsSession(nice);
  } catch {
    // It is slower for others then, and not wrong.
  }
  return `nice ${getPriority()}`;
}

/**
 * Where Linux groups processes by session (sched_autogroup), `nice` and idle count only within it, and the session has a weight of its own (sched(7)). It is left alone unless it is this
 * process's: others of it might not want to stand back.
 */
function standBackAsSession(nice: number): void {
  if (process.platform !== 'linux' || !leadsSession()) return;
  try {
    const group = readFileSync('/proc/self/autogroup', 'utf8');
    if (Number(/nice (-?\d+)/.exec(group)?.[1]) < nice) writeFileSync('/proc/self/autogroup', String(nice));
  } catch {
    // A kernel without such groups, or a file system that is not to be written.
  }
}

function leadsSession(): boolean {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)!.split(' ');
  return Number(fields[3]) === process.pid;
}
