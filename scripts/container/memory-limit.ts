import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';

/** A control group with a limit of memory. */
export interface MemoryLimit {
  /** For people: what holds the limit. */
  kind: string;
  /** Runs the command that follows inside the group. */
  launcher: string[];
  /** Most bytes that were taken, the page cache included. */
  peakBytes(): number;
  /** How often the kernel ended something for want of memory. */
  kills(): number;
  remove(): void;
}

const VERSIONS = [
  // Memory's own hierarchy comes first: where it is mounted, the common one does not have it.
  {
    kind: 'control group, version 1',
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
    events: 'memory.oom_control',
  },
  { kind: 'control group, version 2', root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak', events: 'memory.events' },
];

/** A new group, or null where this user may not make one. `ulimit -v` is no substitute: V8 reserves far more addresses than it uses memory. */
export function memoryLimit(bytes: number): MemoryLimit | null {
  for (const { kind, root, limit, peak, events } of VERSIONS) {
    const folder = `${root}/nearside-${process.pid}`;
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    if (existsSync(`${folder}/${limit}`)) {
      writeFileSync(`${folder}/${limit}`, String(bytes));
      return {
        kind,
        launcher: ['sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$0" "$@"`],
        peakBytes: () => Number(readFileSync(`${folder}/${peak}`, 'utf8')),
        kills: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(`${folder}/${events}`, 'utf8'))?.[1] ?? 0),
        remove: () => rmdirSync(folder),
      };
    }
    rmdirSync(folder);
  }
  return null;
}
