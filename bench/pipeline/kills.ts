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
  stopped: AbortSignal;
}

const LOAD = 4;
const QUESTIONS = 16;
const TOKENS = 24;
/** Between two kills, at random: short enough that most answers lose a stage, long enough that a stage is loaded again in between. */
const LEAST_MS = 200;
const MOST_MS = 1800;

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Ends random stages while four answers are running at any time, and compares every answer with that of one isolate. */
export async function killStages(one: PipelineWorkers, several: PipelineWorkers, options: KillOptions): Promise<Kills> {
  const { eosIds, wanted, stopped } = options;
  const request = (i: number) => endless(`Number ${i}: tell me about the sea.`, TOKENS, i, eosIds);
  const right: string[] = [];
  for (let i = 0; i < QUESTIONS; i++) right.push((await ask(one, request(i))).text);
  const found: Kills = { killed: 0, answers: 0, wrong: 0, broken: [], slowestMs: 0 };
  let asked = 0;
  const killer = async () => {
    for (; found.killed < wanted && !stopped.aborted; found.killed++) {
      await wait(LEAST_MS + Math.random() * (MOST_MS - LEAST_MS));
      await several.kill(Math.floor(Math.random() * several.plan!.stages.length));
      if (found.killed % 10 === 9)
        process.stderr.write(
          `  ${found.killed + 1} kills, ${found.answers} answers, ${found.wrong} wrong, ${found.broken.length} broken off\n`,
        );
    }
  };
  const client = async () => {
    while (found.killed < wanted && !stopped.aborted) {
      const i = asked++ % QUESTIONS;
      try {
        const { text, totalMs } = await ask(several, request(i));
        found.answers += 1;
        if (text !== right[i]) found.wrong += 1;
        found.slowestMs = Math.max(found.slowestMs, totalMs);
      } catch (error) {
        found.broken.push((error as Error).message);
        await wait(LEAST_MS);
      }
    }
  };
  await Promise.all([killer(), ...Array.from({ length: LOAD }, client)]);
  console.log(
    `\n${found.killed} kills under load of ${LOAD}: ${found.answers} answers, ${found.wrong} wrong, ${found.broken.length} broken off; ` +
      `the slowest took ${(found.slowestMs / 1000).toFixed(1)} s`,
  );
  for (const message of new Set(found.broken)) console.log(`  broken off: ${message}`);
  return found;
}
