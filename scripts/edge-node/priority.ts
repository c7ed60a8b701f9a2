import { readFileSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** How far the engine stands back by default: a ninth of the weight of others (Linux; sched(7)). */
export const DEFAULT_NICE = 10;

/**
 * Lets other programs of this machine go first, above all a gateway that passes streams on. To be called before threads are started: they take it over. Does nothing to a process
 * that stands back further already, or where it is not allowed.
 * @param nice 0 (like others) to 19 (last)
 */
export function standBack(nice: number): void {
  try {
    if (getPriority() < nice) setPriority(nice);
    if (nice > 0 && leadsSession()) standBackAsSession(nice);
  } catch {
    // It is slower for others then, and not wrong.
  }
}

/** Where Linux groups processes by session (sched_autogroup), `nice` counts only within it, and the session has one of its own (sched(7)). */
function standBackAsSession(nice: number): void {
  const group = readFileSync('/proc/self/autogroup', 'utf8');
  if (Number(/nice (-?\d+)/.exec(group)?.[1]) < nice) writeFileSync('/proc/self/autogroup', String(nice));
}

/** Whether this process's session is its own, and nobody else's who might not want to stand back. */
function leadsSession(): boolean {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)!.split(' ');
  return Number(fields[3]) === process.pid;
}
