import { describe, expect, it } from 'vitest';
import { StepScheduler } from '../../worker/edge/scheduler.ts';
import { HostedStages } from '../support/hosted-stages.ts';
import { answerOf } from '../support/pipeline.ts';

describe('several turns at once', () => {
  const now = () => performance.now();
  const yieldNow = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const requests = Array.from({ length: 3 }, (_, i) => ({
    prompt: Array.from({ length: 20 + 50 * i }, (_, id) => (id * 7 + i) % 300),
    seed: i,
  }));
  const ask = (scheduler: StepScheduler) =>
    Promise.all(requests.map(({ prompt, seed }) => answerOf(scheduler, prompt, { seed, topK: 20 }, { prefillChunk: 64 })));

  it('keep several stages busy, and the answers are those of one turn after the other', async () => {
    const one = new HostedStages();
    const right = await ask(new StepScheduler(one.pipeline().stage, { now, yieldNow }));
    const several = new HostedStages();
    several.delay = () => new Promise((resolve) => setTimeout(resolve, 1));
    const scheduler = new StepScheduler(several.pipeline().stage, { now, yieldNow, turns: 3 });
    expect(await ask(scheduler)).toEqual(right);
    expect(several.mostRunning).toBeGreaterThan(3);
    expect(await several.sessionBytes()).toBe(0);
    expect(scheduler.rates.decode).toBeGreaterThan(0);
  });

  it('may be fewer for answers than for prompts, and the answers are the same', async () => {
    const deployment = new HostedStages();
    const { stage } = deployment.pipeline();
    let running = 0;
    let most = 0;
    const step = stage.step.bind(stage);
    stage.step = async (batch, signal) => {
      const isAnswer = batch.some(({ ids }) => ids?.length === 1);
      running += Number(isAnswer);
      most = Math.max(most, running);
      return step(batch, signal).finally(() => {
        running -= Number(isAnswer);
      });
    };
    const right = await ask(new StepScheduler(new HostedStages().pipeline().stage, { now, yieldNow }));
    expect(await ask(new StepScheduler(stage, { now, yieldNow, turns: 3, answerTurns: 1 }))).toEqual(right);
    expect(most).toBe(1);
  });

  it('end for the client that leaves, and for nobody else', async () => {
    const deployment = new HostedStages();
    const scheduler = new StepScheduler(deployment.pipeline().stage, { now, yieldNow, turns: 3 });
    const leaving = new AbortController();
    const answer = () => answerOf(scheduler, requests[1]!.prompt, { seed: 1, topK: 20 });
    const right = await answer();
    const gone = answerOf(scheduler, requests[2]!.prompt, {}, { maxTokens: 100 }, leaving.signal);
    const staying = answer();
    setTimeout(() => leaving.abort(new Error('gone')), 20);
    await expect(gone).rejects.toThrow('gone');
    expect(await staying).toEqual(right);
    expect(await deployment.sessionBytes()).toBe(0);
  });
});
