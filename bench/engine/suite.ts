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

/** What both of our hosts measure, through whatever runs a job. */
export async function measureStage(report: Report, run: (job: Job) => Promise<number>, { quick, reps }: SuiteOptions): Promise<void> {
  const decode = (context: number, sessions = 1, tokens = DECODE_TOKENS) =>
    repeat(reps, () => run({ name: 'decode', context, tokens, sessions }));
  report.measured('decode', 64, await decode(64));
  report.measured('prefill', 64, await repeat(reps, () => run({ name: 'prefill', tokens: 64 })));
  if (quick) return;
  for (const tokens of TTFT_TOKENS) report.measured('ttft_ms', tokens, await repeat(reps, () => run({ name: 'ttft', tokens })));
  report.measured('batch_4', 64, await decode(64, 4));
  report.measured('decode', 2048, await decode(2048));
}
