import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { look } from '../../worker/origin/scrape.ts';
import { postChat, sseData } from '../support/chat-client.ts';
import { type LlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { askAndJudge, type Outcome, type Question, steadyLoad, tableHead, tableRow } from '../support/steady-load.ts';
import { serveGateway, type WorkerdServer } from '../support/workerd-serve.ts';

/**
 * Three servers of llama.cpp in one pool behind the gateway's production bundle on `workerd serve`, under a load that does not stop while they are killed, started
 * again, stopped and filled up. The model's answers are the same whatever else runs beside them: weights are float32 and few, so that rounding, which differs with
 * the batch, decides nothing.
 */
const names = ['a', 'b', 'c'];
const slots = 2;
const folder = mkdtempSync(join(tmpdir(), 'nearside-pool-'));
const model = join(folder, 'exact.gguf');
const servers = new Map<string, LlamaServer>();
const table = [tableHead];
let gateway: WorkerdServer;
let questions: Question[];

const start = async (name: string) => {
  servers.set(name, await startLlamaServer(model, { slots, context: 16_384, name, port: servers.get(name)?.port }));
};
const ask = (question: Question, stream: boolean) => askAndJudge(gateway.url, 'pool', question, stream);
const failedOf = (outcomes: Outcome[]) => outcomes.filter((outcome) => outcome.verdict !== 'right');
const countBy = (outcomes: Outcome[], name: string) => outcomes.filter((outcome) => outcome.by === name).length;

/** Long enough to be in its middle whenever something happens. */
const story = { max_tokens: 14_000, stream: true, temperature: 0, model: 'pool' };

beforeAll(async () => {
  const script = fileURLToPath(new URL('../support/make-gguf.mjs', import.meta.url));
  execFileSync(process.execPath, [script, '--preset', 'tiny', '--type', 'f32', '--ctx', '65536', model], { stdio: 'pipe' });
  await Promise.all(names.map(start));
  questions = await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const content = `${['Tell', 'What', 'How', 'Why', 'Is'][i % 5]} number ${i} ${'word '.repeat(i % 7)}`;
      const maxTokens = i % 4 === 3 ? 200 + i : 12 + i;
      return { content, maxTokens, answer: await rightAnswer(content, maxTokens) };
    }),
  );
  const endpoints = names.map((name) => ({ name, url: `${servers.get(name)!.url}/v1`, kind: 'llama-server', model: name }));
  const timeouts = { headers_ms: 8_000, first_token_ms: 8_000, idle_ms: 30_000, total_ms: 45_000 };
  const pools = [{ model: 'pool', endpoints, timeouts }];
  gateway = await serveGateway(folder, { NEARSIDE_DEV: '1', NEARSIDE_ORIGINS: JSON.stringify(pools) });
});

afterAll(async () => {
  console.log(`\n${table.join('\n')}\n`);
  await gateway?.stop();
  for (const server of servers.values()) await server.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function rightAnswer(content: string, maxTokens: number): Promise<string> {
  const body = { model: 'a', messages: [{ role: 'user', content }], temperature: 0, max_tokens: maxTokens };
  const completion = (await (await postChat(servers.get('a')!.url, body)).json()) as { choices: { message: { content: string } }[] };
  return completion.choices[0]!.message.content;
}

/** Begins a long stream; tells who writes it, and then what came after the first chunks. */
async function tellStory(content: string) {
  const leave = new AbortController();
  const response = await postChat(gateway.url, { ...story, messages: [{ role: 'user', content }] }, leave.signal);
  const events = sseData(response);
  let by = '';
  for (let i = 0; i < 5; i++) by = JSON.parse((await events.next()).value!).model;
  const rest = async () => {
    const data: string[] = [];
    for await (const event of events) data.push(event);
    return data;
  };
  return { by, leave: () => leave.abort(), rest };
}

it('answers everything from all of them while they are well', async () => {
  expect(new Set(questions.map((question) => question.answer)).size).toBe(questions.length);
  const outcomes = await steadyLoad(ask, questions, 6, (done) => done.length >= 96);
  table.push(tableRow('all well', outcomes));
  expect(failedOf(outcomes)).toEqual([]);
  for (const name of names) expect(countBy(outcomes, name)).toBeGreaterThan(0);
});

it('loses nothing but the streams that a killed server had begun', async () => {
  const stories = await Promise.all(['Once', 'There was', 'Long ago'].map(tellStory));
  const victim = stories[0]!.by;
  // By the clock: requests that wait for a slot of a server that tells stories may take longer than the stories do.
  let over = false;
  const killed = sleep(1_000).then(async () => {
    await servers.get(victim)!.kill();
    // The others' slots are needed now.
    for (const { by, leave } of stories) if (by !== victim) leave();
    over = true;
  });
  const outcomes = await steadyLoad(ask, questions, 6, (done) => over && done.length >= 96);
  await killed;
  table.push(tableRow(`${victim} killed`, outcomes));
  for (const { rest } of stories.filter(({ by }) => by === victim)) {
    const events = await rest();
    expect(events).not.toContain('[DONE]');
    expect(JSON.parse(events.at(-1)!)).toMatchObject({ error: { code: 'origin_stream_broken' } });
  }
  const failed = failedOf(outcomes);
  expect(failed.filter(({ stream, verdict, by }) => !(stream && verdict === 'cut' && by === victim))).toEqual([]);

  await start(victim);
  const back = await steadyLoad(ask, questions, 6, (done) => countBy(done, victim) >= 3);
  table.push(tableRow(`${victim} started again`, back));
  expect(failedOf(back)).toEqual([]);
  expect(countBy(back, victim)).toBeGreaterThanOrEqual(3);
});

it('goes round a server that has stopped, and comes back to it when it goes on', async () => {
  const { by: victim, leave } = await tellStory('Long long ago');
  servers.get(victim)!.process.kill('SIGSTOP');
  leave();
  const resumed = sleep(12_000).then(() => servers.get(victim)!.process.kill('SIGCONT'));
  let over = false;
  void resumed.then(() => (over = true));
  const outcomes = await steadyLoad(ask, questions, 6, (done) => over && done.length >= 96);
  table.push(tableRow(`${victim} stopped for 12 s`, outcomes));
  expect(failedOf(outcomes)).toEqual([]);
  expect(outcomes.some((outcome) => outcome.by !== victim)).toBe(true);

  const back = await steadyLoad(ask, questions, 6, (done) => countBy(done, victim) >= 3);
  table.push(tableRow(`${victim} goes on`, back));
  expect(failedOf(back)).toEqual([]);
  expect(countBy(back, victim)).toBeGreaterThanOrEqual(3);
});

it('answers everything, later, while requests queue for slots', async () => {
  const targets = [...servers.values()].map(({ url }) => ({ url: `${url}/v1`, kind: 'llama-server' as const, key: null, binding: null }));
  let mostWaiting = 0;
  let over = false;
  const watching = (async () => {
    while (!over) {
      const looks = await Promise.all(targets.map((target) => look(target, null, fetch, Date.now)));
      const waiting = looks.reduce((sum, { seen }) => sum + (seen.waiting ?? 0), 0);
      mostWaiting = Math.max(mostWaiting, waiting);
      await sleep(50);
    }
  })();
  const outcomes = await steadyLoad(ask, questions, 24, (done) => done.length >= 120);
  over = true;
  await watching;
  table.push(tableRow('all full', outcomes));
  expect(failedOf(outcomes)).toEqual([]);
  expect(mostWaiting).toBeGreaterThan(0);
});
