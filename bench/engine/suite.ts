import type { Report } from './report.ts';
import { repeat } from './report.ts';
import type { Job } from './workload.ts';

/** How much of the suite a run measures. */
export interface SuiteOptions {
  quick: boolean;
  /** Samples of each figure. */
  reps: number;
}

export const DECODE_TOKENS = 16;
export const TTFT_TOKENS = [16, 64, 256];

export const decodeAt = (context: number, sessions = 1, tokens = DECODE_TOKENS): Job => ({ name: 'decode', context, tokens, sessions });
export const PREFILL: Job = { name: 'prefill', tokens: 64 };
export const CACHE_HIT: Job = { name: 'cacheHit', prefix: 500, tokens: 20 };
/** The same new tokens without the prefix. */
export const SHORT: Job = { name: 'ttft', tokens: 20 };

/** What both of our hosts measure, through whatever runs a job. */
export async function measureStage(report: Report, run: (job: Job) => Promise<number>, { quick, reps }: SuiteOptions): Promise<void> {
  const decode = (context: number, sessions = 1) => repeat(reps, () => run(decodeAt(context, sessions)));
  report.measured('decode', 64, await decode(64));
  report.measured('prefill', 64, await repeat(reps, () => run(PREFILL)));
  if (quick) return;
  for (const tokens of TTFT_TOKENS) report.measured('ttft_ms', tokens, await repeat(reps, () => run({ name: 'ttft', tokens })));
  report.measured('batch_4', 64, await decode(64, 4));
  report.measured('decode', 2048, await decode(2048));
}
