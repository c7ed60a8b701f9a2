import { Superseded } from '../superseded.ts';

/** What became of one runner: an answer, or a refusal. */
export type Run<Answer, Refusal> = { answer: Answer } | { refused: Refusal };

export type Raced<Answer, Refusal> = { answer: Answer; index: number } | { refused: Refusal[] };

/**
 * Starts all runners; the first to answer wins, and the others are called off by their signals, also when they answer in the same moment. When all refuse, all refusals
 * come back. A runner that throws is out; its error is thrown when nobody answers.
 * @param signal calls off all
 */
export async function race<Answer, Refusal>(
  runners: ((signal: AbortSignal) => Promise<Run<Answer, Refusal>>)[],
  signal: AbortSignal,
): Promise<Raced<Answer, Refusal>> {
  const controllers = runners.map(() => new AbortController());
  const refused: Refusal[] = [];
  const runs = runners.map(async (start, index) => {
    const run = await start(AbortSignal.any([signal, controllers[index]!.signal]));
    if ('answer' in run) return { answer: run.answer, index };
    refused.push(run.refused);
    throw new Refusing();
  });
  try {
    const winner = await Promise.any(runs);
    controllers.forEach((controller, i) => {
      if (i !== winner.index) controller.abort(new Superseded('another route was faster'));
    });
    return winner;
  } catch (error) {
    const thrown = (error as AggregateError).errors.find((one) => !(one instanceof Refusing));
    if (thrown !== undefined) throw thrown;
    return { refused };
  }
}

class Refusing extends Error {}
