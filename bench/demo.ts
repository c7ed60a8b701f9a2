import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startDevServer } from '../test/support/dev-server.ts';
import { describeMachine, machine } from './machine.ts';
import { exitOnSignals, numberOption, packOption, UsageError } from './options.ts';

const HELP = `Usage: npm run bench -- demo [--model PACK_DIR] [--url URL] [--limit N] [--wrong] [--json FILE]

Asks the demo model its whole held-out test (models/demo/eval.jsonl) over HTTP, greedily, and prints the share of answers that match exactly, job by job.
Starts npm run dev with the pack, so that the engine runs under workerd; with --url, asks a server that already runs.

  --model DIR   pack to serve (default: models/demo/pack)
  --url URL     a running server instead, for instance http://127.0.0.1:8787
  --limit N     only the first N prompts of each job
  --wrong       also print every wrong answer
  --json FILE   write the figures
`;

const path = (relative: string) => fileURLToPath(new URL(`../${relative}`, import.meta.url));
const PARALLEL = 4;

interface Example {
  job: string;
  messages: { role: string; content: string }[];
  answer: string;
}

interface Outcome extends Example {
  said: string;
  /** Probability of the first token, the model's own signal of how sure it is. */
  confidence: number;
}

interface JobScore {
  job: string;
  prompts: number;
  exact: number;
}

const read = (file: string): Example[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

async function edgeModel(url: string): Promise<string> {
  const response = await fetch(`${url}/v1/models`).catch(() => {
    throw new UsageError(`Nobody answers at ${url} (--url).`);
  });
  const { data } = (await response.json()) as { data: { id: string }[] };
  const model = data.find(({ id }) => id !== 'nearside-auto');
  if (!model) throw new Error('The server offers no edge model.');
  return model.id;
}

async function ask(url: string, model: string, example: Example): Promise<Outcome> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: example.messages, temperature: 0, max_tokens: 96, logprobs: true }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const { choices } = (await response.json()) as {
    choices: { message: { content: string }; logprobs: { content: { logprob: number }[] } }[];
  };
  const choice = choices[0]!;
  return { ...example, said: choice.message.content, confidence: Math.exp(choice.logprobs.content[0]?.logprob ?? Number.NaN) };
}

async function askAll(url: string, examples: Example[]): Promise<Outcome[]> {
  const model = await edgeModel(url);
  const outcomes: Outcome[] = [];
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < examples.length; i = next++) outcomes[i] = await ask(url, model, examples[i]!);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return outcomes;
}

const isRight = ({ said, answer }: Outcome) => said === answer;

function byJob(outcomes: Outcome[]): JobScore[] {
  const jobs = [...new Set(outcomes.map(({ job }) => job))];
  return jobs.map((job) => {
    const own = outcomes.filter((outcome) => outcome.job === job);
    return { job, prompts: own.length, exact: own.filter(isRight).length / own.length };
  });
}

/** How often a right answer is surer than a wrong one (area under the ROC curve); NaN when all are right or all wrong. */
function ranking(outcomes: Outcome[]): number {
  const right = outcomes.filter(isRight).map(({ confidence }) => confidence);
  const wrong = outcomes.filter((outcome) => !isRight(outcome)).map(({ confidence }) => confidence);
  const wins = right.reduce((sum, r) => sum + wrong.reduce((count, w) => count + (r > w ? 1 : r === w ? 0.5 : 0), 0), 0);
  return wins / (right.length * wrong.length);
}

function print(scores: JobScore[], outcomes: Outcome[], seconds: number): void {
  console.log('\njob           exact match');
  for (const { job, prompts, exact } of scores) console.log(`${job.padEnd(12)}  ${(exact * 100).toFixed(1).padStart(5)} %  of ${prompts}`);
  const worst = scores.reduce((low, score) => (score.exact < low.exact ? score : low));
  console.log(`${'average'.padEnd(12)}  ${(average(scores) * 100).toFixed(1).padStart(5)} %  (worst: ${worst.job})`);
  console.log(`A right answer's first token is surer than a wrong one's in ${(ranking(outcomes) * 100).toFixed(1)} % of pairs.`);
  console.log(`${outcomes.length} prompts in ${seconds.toFixed(1)} s`);
}

const average = (scores: JobScore[]) => scores.reduce((sum, { exact }) => sum + exact, 0) / scores.length;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', default: path('models/demo/pack') },
      url: { type: 'string' },
      limit: { type: 'string' },
      wrong: { type: 'boolean' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const limit = values.limit === undefined ? Number.POSITIVE_INFINITY : numberOption('limit', values.limit, { min: 1, whole: true });
  const seen = new Map<string, number>();
  const examples = read(path('models/demo/eval.jsonl')).filter(({ job }) => {
    seen.set(job, (seen.get(job) ?? 0) + 1);
    return seen.get(job)! <= limit;
  });
  const model = packOption('model', values.model);
  const on = machine();
  console.log(describeMachine(on));
  exitOnSignals();
  const server = values.url === undefined ? await startDevServer(['--model', model]) : null;
  try {
    const started = performance.now();
    const outcomes = await askAll(values.url ?? server!.url, examples);
    const seconds = (performance.now() - started) / 1000;
    const scores = byJob(outcomes);
    if (values.wrong)
      for (const outcome of outcomes.filter((o) => !isRight(o)))
        console.log(
          `${outcome.job}: ${JSON.stringify(outcome.messages.at(-1)?.content)} -> ${JSON.stringify(outcome.said)}, not ${JSON.stringify(outcome.answer)}`,
        );
    print(scores, outcomes, seconds);
    const figures = { machine: on, average: average(scores), ranking: ranking(outcomes), seconds, jobs: scores };
    if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  } finally {
    await server?.stop();
  }
}
