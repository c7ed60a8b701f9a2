import type { PipelineWorkers } from '../../test/support/pipeline-workers.ts';
import type { EdgeRequest } from '../../worker/edge/protocol.ts';

export interface Answer {
  text: string;
  promptTokens: number;
  tokens: number;
  /** Milliseconds from asking to the first text, and to the end. */
  firstMs: number;
  totalMs: number;
}

export const words = (count: number): string => Array.from({ length: count }, (_, i) => ['sea', 'ship', 'wind', 'sail'][i % 4]).join(' ');

/** A request that is answered to its last token: tokens that end an answer are ruled out. */
export const endless = (content: string, maxTokens: number, seed: number, eosIds: number[]): EdgeRequest => ({
  id: 'bench',
  messages: [{ role: 'user', content }],
  templateOptions: {},
  sampling: { seed, temperature: 0.8, topK: 20, logitBias: Object.fromEntries(eosIds.map((id) => [String(id), -100])) },
  maxTokens,
  capTokens: null,
  maxPromptTokens: null,
  stop: [],
  topLogprobs: null,
});

/** Throws when it is refused or breaks off. */
export async function ask({ client }: PipelineWorkers, request: EdgeRequest): Promise<Answer> {
  const started = performance.now();
  const answer = await client.generate(request, new AbortController().signal);
  if (!answer.accepted) throw new Error(`Refused: ${answer.message}`);
  let [text, tokens, firstMs, promptTokens] = ['', 0, 0, 0];
  for await (const event of answer.events) {
    if (event.type === 'error') throw new Error(`The answer broke off: ${event.message}`);
    if (event.type === 'start') promptTokens = event.promptTokens;
    if (event.type === 'delta') {
      firstMs ||= performance.now() - started;
      text += event.content ?? '';
    }
    if (event.type === 'finish') tokens = event.completionTokens;
  }
  return { text, promptTokens, tokens, firstMs, totalMs: performance.now() - started };
}
