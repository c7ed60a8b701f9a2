import type { Manifest } from '../../models/pack/manifest.ts';
import { type Bundles, type PipelineWorkers, startPipeline } from '../../test/support/pipeline-workers.ts';
import type { PlacedPlan } from '../../wasm/engine/pipeline/encode-plan.ts';
import type { Plan, PlanOptions } from '../../wasm/engine/pipeline/plan.ts';
import { median } from '../machine.ts';
import { ask, endless, words } from './load.ts';
import { cpuMs, workerdChildren } from './process.ts';

const PROMPT_TOKENS = 256;
const SESSIONS = 4;
const TOKENS = 48;

export interface TwoProcessesOptions {
  pack: string;
  bundles: Bundles;
  manifest: Manifest;
  plan: Partial<PlanOptions>;
  /** Batches on their way at once in two processes; in one there is one. */
  turns: number;
  reps: number;
}

interface Place {
  workers: PipelineWorkers;
  /** Of its workerd processes. */
  pids: number[];
}

/** Wall clock and CPU of each process, milliseconds. */
interface Spent {
  wall: number;
  cpu: number[];
}

/**
 * Every second stage of layers and every second slice of the vocabulary. Not the later half: hidden states come to the engine between any two stages, and where its process
 * computes two of them in a row, for two batches in turns, the first batch leaves it no sooner than the second.
 */
export function everySecond({ stages }: Pick<PlacedPlan | Plan, 'stages'>): number[] {
  const all = stages.map(({ spec }, index) => ({ index, slice: spec.head !== null }));
  return [false, true]
    .flatMap((slice) => all.filter((stage) => stage.slice === slice).filter((_, i) => i % 2 === 1))
    .map(({ index }) => index);
}

async function start(options: TwoProcessesOptions, elsewhere: boolean): Promise<Place> {
  const before = new Set(workerdChildren());
  const { pack, bundles, plan, turns } = options;
  const vars = { NEARSIDE_EDGE_TURNS: String(elsewhere ? turns : 1) };
  const workers = await startPipeline({ pack, bundles, plan, vars, ...(elsewhere && { elsewhere: everySecond }) });
  return { workers, pids: workerdChildren().filter((pid) => !before.has(pid)) };
}

async function spent({ pids }: Place, work: () => Promise<unknown>): Promise<Spent> {
  const [cpu, started] = [pids.map(cpuMs), performance.now()];
  await work();
  const wall = performance.now() - started;
  return { wall, cpu: pids.map((pid, i) => cpuMs(pid) - cpu[i]!) };
}

const minus = (more: Spent, less: Spent): Spent => ({ wall: more.wall - less.wall, cpu: more.cpu.map((ms, i) => ms - less.cpu[i]!) });

/** A prompt of nearly so many tokens, told apart by its beginning. */
async function promptOf(place: Place, eosIds: number[], tokens: number): Promise<(salt: string) => string> {
  const count = async (text: string) => (await ask(place.workers, endless(text, 1, 1, eosIds))).promptTokens;
  const [few, more] = [await count(`9 ${words(16)}`), await count(`9 ${words(48)}`)];
  const wanted = 16 + Math.floor(((tokens - few) * 32) / (more - few));
  return (salt) => `${salt} ${words(wanted)}`;
}

/**
 * The same pipeline in one workerd process and spread over two, by turns: time of a prompt alone and of four answers at once. Every answer is compared. A process computes on one
 * thread, so that two of them show, on two cores, what stages on different machines would gain.
 */
export async function twoProcesses(options: TwoProcessesOptions): Promise<object> {
  const { eosIds } = options.manifest;
  const one = await start(options, false);
  const two = await start(options, true);
  try {
    const places = [one, two];
    const prompt = await promptOf(one, eosIds, PROMPT_TOKENS);
    const prefill: Spent[][] = [];
    const decode: Spent[][] = [];
    let [promptTokens, compared, different] = [0, 0, 0];
    const compare = (answers: string[][]) => {
      compared += answers[0]!.length;
      different += answers[0]!.filter((text, i) => text !== answers[1]![i]).length;
    };
    // The first round warms up, and is not counted.
    for (let round = 0; round <= options.reps; round++) {
      const texts: string[][] = places.map(() => []);
      const prefills: Spent[] = [];
      const decodes: Spent[] = [];
      for (const [which, place] of places.entries()) {
        const answerAll = async (tokens: number) => {
          const all = Array.from({ length: SESSIONS }, (_, i) =>
            ask(place.workers, endless(`${round}: tell me about the sea.`, tokens, i, eosIds)),
          );
          texts[which]!.push(...(await Promise.all(all)).map(({ text }) => text));
        };
        prefills.push(
          await spent(place, async () => {
            const answer = await ask(place.workers, endless(prompt(String(round)), 1, 1, eosIds));
            promptTokens = answer.promptTokens;
            texts[which]!.push(answer.text);
          }),
        );
        const short = await spent(place, () => answerAll(2));
        decodes.push(minus(await spent(place, () => answerAll(2 + TOKENS)), short));
      }
      compare(texts);
      if (round > 0) {
        prefill.push(prefills);
        decode.push(decodes);
      }
    }
    print(options, two.workers, { promptTokens, prefill, decode, compared, different });
    return { turns: options.turns, promptTokens, prefill, decode, compared, different };
  } finally {
    await one.workers.stop();
    await two.workers.stop();
  }
}

interface Measured {
  promptTokens: number;
  /** Of each round: one process, two. */
  prefill: Spent[][];
  decode: Spent[][];
  compared: number;
  different: number;
}

function print({ turns }: TwoProcessesOptions, { plan }: PipelineWorkers, measured: Measured): void {
  const there = everySecond(plan!);
  const here = plan!.stages.map((_, i) => i).filter((i) => !there.includes(i));
  console.log(`
Stages ${here.join(', ')} and the engine in one workerd process, ${there.join(', ')} in another; ${turns} batches on their way (one where all are in one process).
Between them: Cap'n Proto RPC over TCP on this machine, by way of an object of miniflare's that stands for the stage.`);
  const line = (what: string, rounds: Spent[][], tokens: number) => {
    const rate = (which: number) => (tokens / median(rounds.map((round) => round[which]!.wall))) * 1000;
    const speedUp = median(rounds.map(([one, two]) => one!.wall / two!.wall));
    const cpu = median(rounds.map(([one, two]) => sum(two!.cpu) / sum(one!.cpu)));
    const busy = [0, 1].map((i) => `${(median(rounds.map((round) => round[1]!.cpu[i]! / round[1]!.wall)) * 100).toFixed(0)} %`);
    console.log(
      `${what}: ${rate(0).toFixed(1)} and ${rate(1).toFixed(1)} tokens/s, ${speedUp.toFixed(2)} times as fast in two; CPU ${cpu.toFixed(2)} times as much, the processes ${busy.join(' and ')} busy`,
    );
  };
  line(`Prompt of ${measured.promptTokens} tokens alone`, measured.prefill, measured.promptTokens);
  line(`${SESSIONS} answers at once`, measured.decode, TOKENS * SESSIONS);
  console.log(`${measured.compared} answers compared, ${measured.different} different`);
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
