/** A child process of a benchmark that measures what it is told to in its argument. */
import { Report } from '../../bench/engine/report.ts';
import { serve } from '../../bench/engine/serve.ts';

const { fails } = JSON.parse(process.argv[2]!) as { fails?: boolean };
if (fails) throw new Error('no engine');
serve({
  suite: async () => new Report('small', 'model', 1).measured('decode', 64, [1, 2]),
  run: async (job) => {
    if (job.name === 'release') process.exit(3);
    if (job.name !== 'ttft') throw new Error('only ttft');
    return job.tokens;
  },
});
