import { readFileSync } from 'node:fs';

/** Memory of a process that is resident, megabytes. */
export function residentMB(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** CPU time that a process has used so far, milliseconds: Linux counts it in hundredths of a second. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** The most memory that a process has while `work` runs, megabytes. */
export async function peakMB<T>(pid: number, work: Promise<T>): Promise<{ peak: number; result: T }> {
  let peak = residentMB(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMB(pid));
  }, 100);
  const result = await work.finally(() => clearInterval(timer));
  return { peak, result };
}
