import type { PipelineWorkers } from '../../test/support/pipeline-workers.ts';
import { ask, endless } from './load.ts';

export interface Kills {
  killed: number;
  answers: number;
  /** Answers with another text than one isolate gives. */
  wrong: number;
  /** Why others broke off. */
  broken: string[];
  slowestMs: number;
}

export interface KillOptions {
  eosIds: number[];
  wanted: number;
}

const LOAD = 4;
const QUESTIONS = 16;
const TOKENS = 16;

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/**
 * Ends random stages while four answers are running at any time, and compares every answer with that of one isolate. From one kill to the next it is as long, on average, as
 * four undisturbed answers take on this machine: most answers lose a stage, and what is lost can be computed again in between.
 */
export async function killStages(one: PipelineWorkers, several: PipelineWorkers, options: KillOptions): Promise<Kills> {
  const { eosIds, wanted } = options;
  const request = (i: number) => endless(`Sea ${i}`, TOKENS, i, eosIds);
  const right: string[] = [];
  for (let i = 0; i < QUESTIONS; i++) right.push((await ask(one, request(i))).text);
  const found: Kills = { killed: 0, answers: 0, wrong: 0, broken: [], slowestMs: 0 };
  const started = performance.now();
  await Promise.all(Array.from({ length: LOAD }, (_, i) => ask(several, request(i))));
  const meanMs = performance.now() - started;
  let asked = 0;
  const killer = async () => {
    for (; found.killed < wanted; found.killed++) {
      await wait(Math.random() * 2 * meanMs);
      await several.kill(Math.floor(Math.random() * several.plan!.stages.length));
      if (found.killed % 10 === 9)
        process.stderr.write(
          `  ${found.killed + 1} kills, ${found.answers} answers, ${found.wrong} wrong, ${found.broken.length} broken off\n`,
        );
    }
  };
  const client = async () => {
    while (found.killed < wanted) {
      const i = asked++ % QUESTIONS;
      try {
        const { text, totalMs } = await ask(several, request(i));
        found.answers += 1;
        if (text !== right[i]) found.wrong += 1;
        found.slowestMs = Math.max(found.slowestMs, totalMs);
      } catch (error) {
        found.broken.push((error as Error).message);
        await wait(1000);
      }
    }
  };
  await Promise.all([killer(), ...Array.from({ length: LOAD }, client)]);
  console.log(
    `\n${found.killed} kills, one every ${(meanMs / 1000).toFixed(1)} s, under load of ${LOAD}: ${found.answers} answers, ${found.wrong} wrong, ${found.broken.length} broken off; ` +
      `the slowest took ${(found.slowestMs / 1000).toFixed(1)} s`,
  );
  for (const message of new Set(found.broken)) console.log(`  broken off: ${message}`);
  return found;
}
