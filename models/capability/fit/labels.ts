import { z } from 'zod';
import { fnv1aOf, folded } from '../../fnv1a.ts';
import { ModelError } from '../../model-error.ts';
import type { TokenConfidence } from '../gate.ts';
import type { Judged } from '../score.ts';
import { readSignals } from '../signals.ts';

const binary = z.union([z.literal(0), z.literal(1), z.boolean()]).transform((value): 0 | 1 => (value ? 1 : 0));
const logarithm = z.number().max(1e-3);

const rowSchema = z
  .looseObject({
    messages: z.array(z.looseObject({ role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']), content: z.string() })).min(1),
    /** Whether the model's answer is good enough. Without it the row needs `expected`, and the model has to answer. */
    good: binary.optional(),
    expected: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
    check: z.enum(['exact', 'contains', 'number']).default('exact'),
    max_tokens: z.int().min(1).optional(),
    /** `weakFails` of the difficulty model. */
    difficulty: z.number().min(0).max(1).optional(),
    answer: z.string().optional(),
    /** Of the answer's tokens. */
    logprobs: z.array(logarithm).optional(),
    margins: z.array(z.number().min(0)).optional(),
  })
  .refine(({ good, expected }) => good !== undefined || expected !== undefined, { error: 'it has neither good nor expected' })
  .refine(({ logprobs, margins }) => !margins || margins.length === logprobs?.length, { error: 'margins and logprobs differ in length' });

/** One line of a file of labels. */
export type LabelRow = z.infer<typeof rowSchema>;

/** A row with its label. */
export interface Labelled {
  judged: Judged;
  good: 0 | 1;
  /** Of the model's answer, where it is known. */
  tokens: TokenConfidence[] | null;
  answer: string | null;
  /** Rows of the same prompt share it. */
  fold: number;
}

export const FOLDS = 5;

/** Parses JSON lines. Throws `ModelError` that names the file and the line. */
export function parseLabels(text: string, name: string): LabelRow[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch (cause) {
      throw new ModelError(`${name}, line ${i + 1}: not valid JSON.`, { cause });
    }
    const { data, error } = rowSchema.safeParse(json);
    if (data) return [data];
    const [issue] = error.issues;
    throw new ModelError(`${name}, line ${i + 1}: ${[issue?.path.join('.'), issue?.message].filter(Boolean).join(': ')}.`);
  });
}

/** Throws `ModelError` when a row has no label and no answer to be judged by `expected`. */
export function labelled(row: LabelRow): Labelled {
  const good = row.good ?? (row.answer === undefined ? undefined : isRight(row.answer, row));
  if (good === undefined)
    throw new ModelError('There are rows with expected and without good: give --answer, so that the model answers them, or label them.');
  const text = row.messages.map(({ role, content }) => `${role}\n${content}`).join('\n');
  return {
    judged: {
      // Nobody asks for bytes where there is an estimate of tokens.
      promptBytes: 0,
      promptTokens: null,
      maxTokens: row.max_tokens ?? null,
      difficulty: row.difficulty === undefined ? null : { weakFails: row.difficulty },
      ...readSignals(row.messages),
    },
    good,
    tokens: row.logprobs?.map((logprob, i) => ({ logprob, margin: row.margins?.[i] ?? null })) ?? null,
    answer: row.answer ?? null,
    fold: folded(fnv1aOf(text)) % FOLDS,
  };
}

const NUMBER = /-?\d[\d,]*(?:\.\d+)?/g;

/** Whether an answer is what was expected: word for word, somewhere in it, or by the last number in it. */
export function isRight(answer: string, { expected = [], check }: Pick<LabelRow, 'expected' | 'check'>): 0 | 1 {
  const said = answer.trim();
  const wanted = (Array.isArray(expected) ? expected : [expected]).map((text) => text.trim());
  if (check === 'contains') return wanted.some((text) => said.toLowerCase().includes(text.toLowerCase())) ? 1 : 0;
  if (check === 'exact') return wanted.includes(said) ? 1 : 0;
  const last = said.match(NUMBER)?.at(-1)?.replaceAll(',', '');
  return last !== undefined && wanted.some((text) => Number(text.replaceAll(',', '')) === Number(last)) ? 1 : 0;
}
