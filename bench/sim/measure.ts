import { stream } from '../edge.ts';
import { median } from '../machine.ts';

/** A streamed answer as its client saw it; times are milliseconds from the request. */
export interface Seen {
  promptTokens: number;
  completionTokens: number;
  ttftMs: number;
  totalMs: number;
}

const WORDS =
  'people town near sea wake early every day buy fresh bread talk about weather before work river stone lamp music seven green'.split(' ');

let prompts = 0;

/** A prompt that begins like no other of this process, so that no cache has it. */
function newPrompt(words: number): string {
  const salt = prompts++;
  const text = Array.from({ length: words }, (_, i) => WORDS[(i * 7 + salt * (1 + (i % 5))) % WORDS.length]).join(' ');
  return `${salt}: ${text}. Write a long story about that.`;
}

/** A route of the gateway, by the model's name. */
export interface Target {
  url: string;
  model: string;
  /** Added to every request. */
  settings: object;
}

/**
 * Asks for a stream. Throws what the server says when it is an error, and when part of the prompt came out of a cache, were it only the beginning that a chat template gives
 * every prompt: no rate can be told from that, and the simulation is told of none.
 */
export async function ask({ url, model, settings }: Target, words: number, maxTokens: number): Promise<Seen> {
  const messages = [{ role: 'user', content: newPrompt(words) }];
  const body = { model, max_tokens: maxTokens, temperature: 0, ...settings, messages };
  const started = performance.now();
  let ttftMs = 0;
  const usage = await stream(url, body, (ms) => {
    ttftMs ||= ms;
  });
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  if (cached > 0) throw new Error(`${model} had ${cached} tokens of the prompt in a cache, which must be switched off here.`);
  return { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens, ttftMs, totalMs: performance.now() - started };
}

/** What the simulator is told of a route. */
export interface Rates {
  /** Time to first token of a prompt of no tokens, and what each token adds, milliseconds. */
  baseMs: number;
  promptTokenMs: number;
  /** Milliseconds per token of an answer that is alone, and of each of four at once. */
  aloneMs: number;
  fourMs: number;
}

const rounds = 4;
const answerTokens = 24;

/** Measures a route that does nothing else meanwhile: short and long prompts, one answer, four at once. Throws when long prompts do not take longer than short ones. */
export async function measureRates(target: Target): Promise<Rates> {
  const series = async (words: number, maxTokens: number) => {
    const seen: Seen[] = [];
    for (let i = 0; i < rounds; i++) seen.push(await ask(target, words, maxTokens));
    return seen;
  };
  await series(8, 4);
  const [short, long] = [await series(8, answerTokens), await series(100, 4)];
  const at = (seen: Seen[]) => ({ tokens: median(seen.map((one) => one.promptTokens)), ms: median(seen.map((one) => one.ttftMs)) });
  const [a, b] = [at(short), at(long)];
  const promptTokenMs = (b.ms - a.ms) / (b.tokens - a.tokens);
  if (!(promptTokenMs > 0))
    throw new Error(`${target.model}: the first token of a longer prompt did not come later, so no rate can be told; try again.`);
  const four: Seen[] = [];
  for (let i = 0; i < 2; i++) four.push(...(await Promise.all([0, 1, 2, 3].map(() => ask(target, 8, answerTokens)))));
  const perToken = (seen: Seen[]) =>
    median(seen.filter((one) => one.completionTokens > 4).map((one) => (one.totalMs - one.ttftMs) / (one.completionTokens - 1)));
  return { baseMs: Math.max(1, a.ms - a.tokens * promptTokenMs), promptTokenMs, aloneMs: perToken(short), fourMs: perToken(four) };
}
