import { existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** What a figure was measured on; printed beside every table. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  node: string;
  workerd: string;
  date: string;
}

export function machine(): Machine {
  const workerd = JSON.parse(readFileSync(new URL('../node_modules/workerd/package.json', import.meta.url), 'utf8')) as { version: string };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    workerd: workerd.version,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** One line, above a table. */
export const describeMachine = ({ cpu, cores, memoryGiB, node, workerd, date }: Machine): string =>
  `${cpu}, ${cores} cores, ${memoryGiB} GiB; Node ${node}, workerd ${workerd}; ${date}`;

/** The processor's vector instructions, which engines in WebAssembly are compiled to as native ones are; null where the system does not say. */
export function cpuFeatures(): string | null {
  const file = '/proc/cpuinfo';
  const flags = existsSync(file) ? /^flags\s*:(.*)$/m.exec(readFileSync(file, 'utf8')) : null;
  return flags?.[1]?.match(/\b(sse4_[12]|avx\w*|fma|f16c)\b/g)?.join(' ') ?? null;
}

/** The value below which a share `q` (0..1) of the sorted samples lies, by linear interpolation. NaN without samples. */
export function quantile(samples: number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (samples: number[]): number => quantile(samples, 0.5);
