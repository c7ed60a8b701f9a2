import { type ChatChunk, postChat, sseData } from './chat-client.ts';

/** A question whose right answer is known. */
export interface Question {
  content: string;
  maxTokens: number;
  /** What the model says at temperature 0. */
  answer: string;
}

/** What became of one request. */
export interface Outcome {
  stream: boolean;
  /**
   * `right`: the known answer, whole and properly ended. `cut`: a part of it, ended by an error event without [DONE]. `refused`: an error instead of an answer.
   * `wrong`: anything else, which must not happen.
   */
  verdict: 'right' | 'cut' | 'refused' | 'wrong';
  /** What was wrong, or the code of the error. */
  detail: string | null;
  /** The model's name in the answer: each endpoint has its own. */
  by: string | null;
  /** From the request to its end, milliseconds. */
  ms: number;
  /** x-nearside-reason. */
  reason: string;
}

interface Completion {
  model: string;
  choices: { message: { content: string }; finish_reason: string }[];
  usage: { completion_tokens: number };
}

/** A request that takes longer hangs, milliseconds. */
const patience = 60_000;

/** Asks, and judges the answer by all that a client can see of it. Never throws. */
export async function askAndJudge(url: string, model: string, question: Question, stream: boolean): Promise<Outcome> {
  const start = performance.now();
  const outcome: Outcome = { stream, verdict: 'wrong', detail: null, by: null, ms: 0, reason: '' };
  const body = {
    model,
    messages: [{ role: 'user', content: question.content }],
    temperature: 0,
    max_tokens: question.maxTokens,
    ...(stream && { stream, stream_options: { include_usage: true } }),
  };
  try {
    const response = await postChat(url, body, AbortSignal.timeout(patience));
    outcome.reason = response.headers.get('x-nearside-reason') ?? '';
    const judged = !response.ok ? judgeError(await response.json()) : await (stream ? judgeStream : judgeWhole)(response, question);
    Object.assign(outcome, judged);
  } catch (error) {
    outcome.detail = String(error);
  }
  outcome.ms = performance.now() - start;
  return outcome;
}

type Judged = Pick<Outcome, 'verdict' | 'detail'> & { by?: string };

function judgeError(body: unknown): Judged {
  const error = (body as ChatChunk).error;
  const proper = error && Object.keys(error).sort().join() === 'code,message,param,type';
  return proper ? { verdict: 'refused', detail: error.code } : { verdict: 'wrong', detail: `error body ${JSON.stringify(body)}` };
}

async function judgeWhole(response: Response, question: Question): Promise<Judged> {
  const { model, choices, usage } = (await response.json()) as Completion;
  const { message, finish_reason } = choices[0]!;
  const right = message.content === question.answer && finish_reason === 'length' && usage.completion_tokens === question.maxTokens;
  return { verdict: right ? 'right' : 'wrong', detail: right ? null : `${finish_reason}: ${message.content}`, by: model };
}

async function judgeStream(response: Response, question: Question): Promise<Judged> {
  const events: string[] = [];
  for await (const data of sseData(response)) events.push(data);
  const dones = events.filter((data) => data === '[DONE]').length;
  const chunks = events.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data) as ChatChunk & { model?: string });
  const by = chunks.find((chunk) => chunk.model)?.model;
  const text = chunks.map((chunk) => chunk.choices?.[0]?.delta.content ?? '').join('');
  const finishes = chunks.flatMap((chunk) => (chunk.choices ?? []).map((choice) => choice.finish_reason)).filter(Boolean);
  const error = chunks.at(-1)?.error;
  if (error && dones === 0 && finishes.length === 0 && question.answer.startsWith(text)) {
    return { verdict: text === '' ? 'refused' : 'cut', detail: error.code, by };
  }
  const ended = dones === 1 && events.at(-1) === '[DONE]' && finishes.join() === 'length' && !chunks.some((chunk) => chunk.error);
  const counted = chunks.at(-1)?.usage?.completion_tokens === question.maxTokens;
  const right = ended && counted && text === question.answer;
  const detail = right
    ? null
    : `${dones} [DONE], finish ${finishes}, ${text.length} of ${question.answer.length} characters, ${events.at(-1)}`;
  return { verdict: right ? 'right' : 'wrong', detail, by };
}

/**
 * Keeps `clients` requests on their way, each followed by the next, every second one a stream, until `enough` says so or `patience` is over; then waits for those
 * that are under way.
 */
export async function steadyLoad(
  ask: (question: Question, stream: boolean) => Promise<Outcome>,
  questions: Question[],
  clients: number,
  enough: (outcomes: Outcome[]) => boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const deadline = Date.now() + patience;
  let next = 0;
  const client = async () => {
    while (!enough(outcomes) && Date.now() < deadline) {
      const turn = next++;
      outcomes.push(await ask(questions[turn % questions.length]!, Math.floor(turn / questions.length) % 2 === turn % 2));
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return outcomes;
}

/** A row of the table that tells how a phase went. */
export function tableRow(phase: string, outcomes: Outcome[]): string {
  const count = (test: (outcome: Outcome) => boolean) => outcomes.filter(test).length;
  const share = (of: Outcome[]) => `${((100 * of.filter((outcome) => outcome.verdict === 'right').length) / of.length).toFixed(1)} %`;
  const times = outcomes.map((outcome) => outcome.ms).sort((a, b) => a - b);
  const quantile = (q: number) => Math.round(times[Math.floor(q * (times.length - 1))]!);
  const servers = [...new Set(outcomes.map((outcome) => outcome.by))].filter((by) => by !== null).sort();
  return `| ${[
    phase,
    outcomes.length,
    share(outcomes.filter((outcome) => !outcome.stream)),
    share(outcomes.filter((outcome) => outcome.stream)),
    count((outcome) => outcome.verdict === 'cut'),
    count((outcome) => outcome.verdict === 'refused'),
    count((outcome) => outcome.verdict === 'wrong'),
    count((outcome) => outcome.reason.includes('retried')),
    count((outcome) => outcome.reason.includes('hedged')),
    quantile(0.5),
    quantile(0.95),
    servers.map((by) => `${by} ${count((outcome) => outcome.by === by)}`).join(', '),
  ].join(' | ')} |`;
}

export const tableHead = `| phase | requests | whole answered | streams answered | cut | refused | wrong | retried | hedged | p50 ms | p95 ms | by |
|---|---|---|---|---|---|---|---|---|---|---|---|`;
