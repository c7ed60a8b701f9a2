import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EdgeClient, EdgeEvent, EdgeRequest } from '../../worker/edge/protocol.ts';
import { type Bundles, bundleWorkers, type PipelineWorkers, startPipeline } from '../support/pipeline-workers.ts';

const pack = fileURLToPath(new URL('../../models/demo/pack', import.meta.url));
/** Two stages of layers and one slice of the vocabulary, or so. */
const PLAN = { budgetBytes: 18e6 };
/** Answers that do not end by themselves. */
const { eosIds } = JSON.parse(readFileSync(`${pack}/manifest.json`, 'utf8')) as { eosIds: number[] };
const ENDLESS = Object.fromEntries(eosIds.map((id) => [String(id), -100]));
const never = new AbortController().signal;

const request = (content: string, changes: Partial<EdgeRequest> = {}): EdgeRequest => ({
  id: 'test',
  messages: [{ role: 'user', content }],
  templateOptions: {},
  sampling: { seed: 3, temperature: 0.9, topK: 20, logitBias: ENDLESS },
  maxTokens: 40,
  capTokens: null,
  maxPromptTokens: null,
  stop: [],
  topLogprobs: 2,
  ...changes,
});

/** The text and the log probabilities of an answer, and how it ended. */
async function ask(client: EdgeClient, asked: EdgeRequest, onEvent: (event: EdgeEvent) => Promise<void> = async () => {}) {
  const answer = await client.generate(asked, never);
  if (!answer.accepted) throw new Error(`${answer.refused}: ${answer.message}`);
  const events: EdgeEvent[] = [];
  for await (const event of answer.events) {
    events.push(event);
    await onEvent(event);
  }
  const last = events.at(-1)!;
  if (last.type !== 'finish') throw new Error(`The answer ended with ${JSON.stringify(last)}.`);
  const deltas = events.filter((event) => event.type === 'delta');
  const { reason, completionTokens } = last;
  return { deltas: deltas.map(({ content, logprobs }) => ({ content, logprobs })), reason, completionTokens };
}

async function sessionBytes({ plan, memory }: PipelineWorkers): Promise<number> {
  const all = await Promise.all(plan!.stages.map((_, stage) => memory(stage)));
  return all.reduce((sum, bytes) => sum + (bytes?.sessionBytes ?? 0), 0);
}

describe('a model over several Workers', () => {
  let bundles: Bundles;
  let one: PipelineWorkers;
  let several: PipelineWorkers;
  beforeAll(async () => {
    bundles = await bundleWorkers();
    one = await startPipeline({ pack, bundles, plan: null });
    several = await startPipeline({ pack, bundles, plan: PLAN });
  });
  afterAll(async () => {
    await one?.stop();
    await several?.stop();
    await bundles?.remove();
  });

  it('answers as one Worker does, to the last log probability, several requests at once', async () => {
    const requests = ['What is the capital of France?', 'Hello', 'plural of mouse', 'Is this a nice day? '.repeat(6)].flatMap((content) => [
      request(content),
      request(content, { sampling: { temperature: 0, presencePenalty: 0.4, repetitionPenalty: 1.1, logitBias: ENDLESS } }),
      request(content, { sampling: { seed: 8, temperature: 1, topK: 0, topP: 0.7 } }),
      request(content, { sampling: { seed: 9, temperature: 1.2, topK: 0 }, cacheScope: 'someone' }),
    ]);
    const right = await Promise.all(requests.slice(0, 4).map((asked) => ask(one.client, asked)));
    for (const asked of requests.slice(4)) right.push(await ask(one.client, asked));
    const answers = [];
    for (let i = 0; i < requests.length; i += 4)
      answers.push(...(await Promise.all(requests.slice(i, i + 4).map((asked) => ask(several.client, asked)))));
    expect(answers).toEqual(right);
    expect(right.reduce((sum, { completionTokens }) => sum + completionTokens, 0)).toBeGreaterThan(200);
  });

  it('goes on as if nothing had happened when a stage is gone in the middle of an answer', async () => {
    const asked = request('Tell me about the sea.');
    const right = await ask(one.client, asked);
    expect(right.completionTokens).toBe(40);
    for (const [stage] of several.plan!.stages.entries()) {
      const kills = [5, 20];
      const answer = await ask(several.client, asked, async (event) => {
        if (event.type !== 'delta' || event.tokens < (kills[0] ?? Number.POSITIVE_INFINITY)) return;
        kills.shift();
        await several.kill(stage);
      });
      expect(answer).toEqual(right);
      expect(kills).toEqual([]);
    }
  });

  it('serves all of several answers when stages are killed under them', async () => {
    const requests = Array.from({ length: 8 }, (_, i) => request(`Number ${i}`, { sampling: { ...request('').sampling, seed: i } }));
    const right = [];
    for (const asked of requests) right.push(await ask(one.client, asked));
    let running = true;
    let kills = 0;
    const killer = (async () => {
      for (let stage = 0; running; stage = (stage + 1) % several.plan!.stages.length) {
        await new Promise((resolve) => setTimeout(resolve, 120));
        await several.kill(stage);
        kills += 1;
      }
    })();
    const answers = [];
    for (let i = 0; i < requests.length; i += 4)
      answers.push(...(await Promise.all(requests.slice(i, i + 4).map((asked) => ask(several.client, asked)))));
    running = false;
    await killer;
    expect(answers).toEqual(right);
    expect(kills).toBeGreaterThan(1);
  });

  it('frees every stage when a client leaves', async () => {
    const leaving = new AbortController();
    const answer = await several.client.generate(request('Tell me about the sea.', { maxTokens: 450 }), leaving.signal);
    if (!answer.accepted) throw new Error(answer.message);
    const events = answer.events[Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'delta');
    expect(await sessionBytes(several)).toBeGreaterThan(0);
    leaving.abort(new Error('gone'));
    await expect(
      (async () => {
        while (!(await events.next()).done);
      })(),
    ).rejects.toThrow();
    for (let status = await several.client.status(); status.running > 0; status = await several.client.status());
    const { cacheBytes } = (await several.client.status()).memory!;
    expect(await sessionBytes(several)).toBe(cacheBytes);
  });

  it('takes no more memory than planned in any stage, and its Workers have no way in', async () => {
    for (const [stage, planned] of several.plan!.stages.entries()) {
      expect((await several.memory(stage))!.wasmBytes).toBeLessThanOrEqual(planned.wasmBytes);
      const worker = await several.miniflare.getWorker(`stage-${stage}`);
      expect((await worker.fetch('http://stage.invalid/')).status).toBe(404);
    }
  });

  it('is refused, with the reason, when a stage has another plan than the engine', async () => {
    const other = await startPipeline({
      pack,
      bundles,
      plan: PLAN,
      stageVars: (stage) => ({ NEARSIDE_EDGE_PLAN: several.planText!.replace('"sessions":4', `"sessions":${stage === 1 ? 5 : 4}`) }),
    });
    try {
      const answer = await other.client.generate(request('Hello'), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
      expect(!answer.accepted && answer.message).toMatch(/Stage 1 has another plan .*deploy all stages and the engine again/);
    } finally {
      await other.stop();
    }
  });

  it.each<[string, (text: string) => string, RegExp]>([
    [
      'the pack is not the one of the plan',
      (text) => text.replace(/"pack":"[^"]*"/, '"pack":"another"'),
      /The pack nearside-demo \(.*\) is not the one that NEARSIDE_EDGE_PLAN was made for \(another\)/,
    ],
    [
      'a stage has less memory by its plan than it needs',
      (text) => {
        const plan = JSON.parse(text) as { stages: number[][] };
        plan.stages[1]![4] = 2 ** 20;
        return JSON.stringify(plan);
      },
      /Stage 1 could not be loaded: .* its limit is 1048576\./,
    ],
  ])('is refused, with the reason, when %s', async (_, editPlan, reason) => {
    const other = await startPipeline({ pack, bundles, plan: PLAN, editPlan });
    try {
      const answer = await other.client.generate(request('Hello'), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
      expect(!answer.accepted && answer.message).toMatch(reason);
    } finally {
      await other.stop();
    }
  });

  it('is refused, with the reason, when a stage has another pack than the engine', async () => {
    const stageVars = (stage: number) => ({ NEARSIDE_EDGE_PACK: stage === 2 ? 'packs/other' : 'packs/test' });
    const other = await startPipeline({ pack, bundles, plan: PLAN, stageVars });
    const manifest = JSON.parse(readFileSync(`${pack}/manifest.json`, 'utf8')) as { files: { checksum: number }[] };
    manifest.files[0]!.checksum += 1;
    const bucket = await other.miniflare.getR2Bucket('MODELS', 'edge');
    await bucket.put('packs/other/manifest.json', JSON.stringify(manifest));
    try {
      const answer = await other.client.generate(request('Hello'), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
      expect(!answer.accepted && answer.message).toMatch(
        /Stage 2 could not be loaded: its pack \(.*\) is not the one the plan was made for \(.*\)/,
      );
    } finally {
      await other.stop();
    }
  });

  it('is refused, with the reason, when a stage has no weights', async () => {
    const other = await startPipeline({
      pack,
      bundles,
      plan: PLAN,
      stageVars: (stage) => ({ NEARSIDE_EDGE_PACK: stage === 2 ? 'nowhere' : 'packs/test' }),
    });
    try {
      const answer = await other.client.generate(request('Hello'), never);
      expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable' });
      expect(!answer.accepted && answer.message).toMatch(/Stage 2 could not be loaded: nowhere\/manifest\.json is not in the R2 bucket/);
    } finally {
      await other.stop();
    }
  });
});
