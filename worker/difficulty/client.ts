import { z } from 'zod';
import type { ChatMessage } from '../../routes/schema/message.ts';
import { within } from '../../routes/within.ts';
import type { Prediction } from './classifier.ts';
import { MAX_BYTES } from './features.ts';

/** Judges a prompt, or says null: never an error, and never late. */
export type DifficultyOf = (messages: readonly ChatMessage[]) => Promise<Prediction | null>;

/** What is needed of the binding to the difficulty Worker. */
type DifficultyWorker = Pick<Fetcher, 'fetch'>;

/** Longest wait, milliseconds. A loaded model needs two; advice that takes longer than that is not worth its time. */
const PATIENCE_MS = 10;
/** After no answer, nobody asks for so long: it is loading, or not there. */
const PAUSE_MS = 1_000;

const probability = z.number().min(0).max(1);
const predictionSchema: z.ZodType<Prediction> = z.object({ weakFails: probability, strongHelps: probability });

/** Asks the difficulty Worker (worker/difficulty/worker.ts). @param now milliseconds */
export function createDifficultyClient(worker: DifficultyWorker, patienceMs = PATIENCE_MS, now: () => number = Date.now): DifficultyOf {
  let notBefore = Number.NEGATIVE_INFINITY;
  const ask = async (text: string): Promise<Prediction | null> => {
    const response = await worker.fetch('https://difficulty.invalid/', { method: 'POST', body: text });
    return predictionSchema.safeParse(await response.json()).data ?? null;
  };
  return async (messages) => {
    const text = lastTurn(messages);
    if (text === '' || now() < notBefore) return null;
    const prediction = await within(
      ask(text).catch(() => null),
      patienceMs,
    );
    if (!prediction) notBefore = now() + PAUSE_MS;
    return prediction ?? null;
  };
}

/** What the model was trained on are single prompts, of which it reads the end. */
function lastTurn(messages: readonly ChatMessage[]): string {
  const content = messages.findLast(({ role }) => role === 'user')?.content ?? '';
  const text = typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('\n');
  return text.slice(-MAX_BYTES);
}
