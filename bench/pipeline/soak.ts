import type { PipelineWorkers } from '../../test/support/pipeline-workers.ts';
import { ask, endless, words } from './load.ts';
import { megabytes, type StageMemory, stageMemory, total } from './memory.ts';

export interface SoakOptions {
  sessions: number;
  minutes: number;
  /** Share of the time that answers are asked for, over 0 to 1: less leaves the machine room for other work. More, where a pause would be too long. */
  duty: number;
  eosIds: number[];
  /** Makes a prompt so many words long at most. */
  mostWords: number;
  /** Called every minute with what there is so far: an hour is not to be lost because somebody stops it. */
  save(soak: Soak): Promise<void>;
}

export interface Soak {
  answers: number;
  broken: string[];
  /** Of every minute, every stage's memory. */
  samples: StageMemory[][];
  /** From the first half to the second, bytes of every stage by the least of each: what is left when JavaScript's garbage has just been collected. */
  growth: number[];
}

const MINUTE = 60_000;
/** Stages that nobody asks for long are given up, and evicted: they would be measured empty. */
const MOST_PAUSE_MS = 8000;

/** Keeps all sessions busy, and watches the memory of every stage. */
export async function soak(workers: PipelineWorkers, options: SoakOptions): Promise<Soak> {
  const { sessions, minutes, duty, eosIds, mostWords, save } = options;
  const found: Soak = { answers: 0, broken: [], samples: [], growth: [] };
  const until = performance.now() + minutes * MINUTE;
  let asked = 0;
  while (performance.now() < until) {
    const minute = Math.min(performance.now() + MINUTE, until);
    await Promise.all(
      Array.from({ length: sessions }, async (_, i) => {
        while (performance.now() < minute) {
          asked += 1;
          const started = performance.now();
          try {
            await ask(workers, endless(`${asked} ${words(lengthOf(asked, mostWords))}`, 32, i, eosIds));
            found.answers += 1;
          } catch (error) {
            found.broken.push((error as Error).message);
          }
          await pause(Math.min(MOST_PAUSE_MS, (performance.now() - started) * (1 / duty - 1)));
        }
      }),
    );
    found.samples.push(await stageMemory(workers));
    found.growth = growth(found.samples);
    await save(found);
    const sizes = found.samples.at(-1)!.map((size) => megabytes(total(size)));
    process.stderr.write(
      `  minute ${found.samples.length}: ${found.answers} answers, ${found.broken.length} broken off, MB per stage ${sizes.join(' ')}\n`,
    );
  }
  console.log(
    `\nSoak of ${minutes} minutes, ${found.answers} answers, ${found.broken.length} broken off: growth of the least from its first half to its second, MB per stage ` +
      found.growth.map(megabytes).join(' '),
  );
  return found;
}

/** One question in sixteen fills its session, as all did once before; the others are short. */
const lengthOf = (asked: number, mostWords: number): number =>
  asked % 16 === 0 ? mostWords : 1 + ((asked * 37) % Math.ceil(mostWords / 4));

function growth(samples: StageMemory[][]): number[] {
  const half = Math.ceil(samples.length / 2);
  const least = (some: StageMemory[][], stage: number) => Math.min(...some.map((sizes) => total(sizes[stage]!)));
  return (samples[0] ?? []).map((_, stage) => least(samples.slice(-half), stage) - least(samples.slice(0, half), stage));
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
