import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** workerd processes that this one has started. Linux. */
export function workerdChildren(): number[] {
  const lines = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes('workerd')).map((line) => Number(line.trim().split(' ')[0]));
}

const TICK_MS = 10;

/** Milliseconds of CPU that a process has used: on a busy machine a better measure of work than the time it took. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
