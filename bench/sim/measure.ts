import { createParser } from 'eventsource-parser';
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

/** A prompt that begins like no other, so that no cache has it. */
const promptOf = (words: number, salt: number): string =>
  `${salt}: ${Array.from({ length: words }, (_, i) => WORDS[(i * 7 + salt * (1 + (i % 5))) % WORDS.length]).join(' ')}. Write a long story about that.`;

/** Asks for a stream. Throws what the server says when it is an error. */
export async function ask(url: string, model: string, words: number, salt: number, maxTokens: number): Promise<Seen> {
  const started = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      max_tokens: maxTokens,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
      messages: [{ role: 'user', content: promptOf(words, salt) }],
    }),
  });
  if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`);
  const seen = { promptTokens: 0, completionTokens: 0, ttftMs: 0, totalMs: 0 };
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      if (chunk.usage) Object.assign(seen, { promptTokens: chunk.usage.prompt_tokens, completionTokens: chunk.usage.completion_tokens });
      if (chunk.choices[0]?.delta?.content) seen.ttftMs ||= performance.now() - started;
    },
  });
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
  return { ...seen, totalMs: performance.now() - started };
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

/** Measures a route that does nothing else meanwhile: short and long prompts, one answer, four at once. */
export async function measureRates(url: string, model: string): Promise<Rates> {
  let salt = 1_000;
  const series = async (words: number, maxTokens: number) => {
    const seen: Seen[] = [];
    for (let i = 0; i < rounds; i++) seen.push(await ask(url, model, words, salt++, maxTokens));
    return seen;
  };
  await series(8, 4);
  const [short, long] = [await series(8, answerTokens), await series(100, 4)];
  const at = (seen: Seen[]) => ({ tokens: median(seen.map((one) => one.promptTokens)), ms: median(seen.map((one) => one.ttftMs)) });
  const [a, b] = [at(short), at(long)];
  const promptTokenMs = Math.max(0.001, (b.ms - a.ms) / (b.tokens - a.tokens));
  const four: Seen[] = [];
  for (let i = 0; i < 2; i++) four.push(...(await Promise.all([0, 1, 2, 3].map(() => ask(url, model, 8, salt++, answerTokens)))));
  const perToken = (seen: Seen[]) =>
    median(seen.filter((one) => one.completionTokens > 4).map((one) => (one.totalMs - one.ttftMs) / (one.completionTokens - 1)));
  return { baseMs: Math.max(1, a.ms - a.tokens * promptTokenMs), promptTokenMs, aloneMs: perToken(short), fourMs: perToken(four) };
}
