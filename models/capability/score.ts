import type { TextFeatures } from './signals.ts';

/** What the probability of a good answer is judged by: part of what the router knows of a request. */
export interface Judged {
  /** UTF-8 bytes of the messages' text. */
  promptBytes: number;
  /** Tokens of the prompt as counted, or else as estimated, or else bytes ÷ 4. */
  promptTokens: number | null;
  estimatedTokens: number | null;
  /** Tokens that the client allows for the answer, or null. */
  maxTokens: number | null;
  kind: string;
  text: TextFeatures | null;
  /** What the learned difficulty model says, or null. */
  difficulty: { weakFails: number } | null;
}

/**
 * The parts of the score by name, each scaled so that its usual range is a few units wide and 0 is ordinary or unknown; they multiply `weights`, and one that is
 * absent is 0.
 */
export type SignalValues = Record<string, number>;

/** A prompt of 64 tokens and an answer of 64 are ordinary. */
const ORDINARY_TOKENS = 64;
const TOKENS_PER_WORD = 1.4;
const BYTES_PER_TOKEN = 4;
/** log odds of `weakFails` for the average prompt that the difficulty model was trained on (models/router/README.md). */
const ORDINARY_DIFFICULTY = logit(0.3);

/** The signals as numbers. Sizes count by their logarithm: twice as long is one step, wherever. */
export function signalValues({ promptBytes, promptTokens, estimatedTokens, maxTokens, kind, text, difficulty }: Judged): SignalValues {
  const asked = Math.min(maxTokens ?? Number.POSITIVE_INFINITY, (text?.askedWords ?? Number.POSITIVE_INFINITY) * TOKENS_PER_WORD);
  const values: SignalValues = {
    intercept: 1,
    [`kind:${kind}`]: 1,
    prompt_tokens: steps(promptTokens ?? estimatedTokens ?? promptBytes / BYTES_PER_TOKEN),
    answer_tokens: Number.isFinite(asked) ? steps(asked) : 0,
    difficulty: difficulty ? ORDINARY_DIFFICULTY - logit(difficulty.weakFails) : 0,
  };
  if (!text) return values;
  return {
    ...values,
    turns: Math.log2(Math.max(1, text.turns)),
    questions: Math.log2(1 + text.questions),
    constraints: Math.log2(1 + text.constraints),
    code: text.code,
    mathematics: text.mathematics,
    not_english: text.language !== null && text.language !== 'en' ? 1 : 0,
    not_latin: text.script !== 'Latin' ? 1 : 0,
  };
}

const steps = (tokens: number): number => Math.min(8, Math.max(-6, Math.log2(Math.max(1, tokens) / ORDINARY_TOKENS)));

/** Log odds of a probability, kept finite. */
export function logit(probability: number): number {
  const p = Math.min(0.999, Math.max(0.001, probability));
  return Math.log(p / (1 - p));
}

/** The logistic model's probability, before the reliability curve. */
export function rawScore(values: SignalValues, weights: Readonly<Record<string, number>>): number {
  let sum = 0;
  for (const name in weights) sum += weights[name]! * (values[name] ?? 0);
  return 1 / (1 + Math.exp(-sum));
}

/** A reliability curve: scores by rising score, and the share of good answers there, which never falls. */
export type Curve = readonly (readonly [score: number, probability: number])[];

/** The curve at a score: straight lines between its points, level beyond them. A curve without points changes nothing. */
export function onCurve(curve: Curve, score: number): number {
  const above = curve.findIndex(([x]) => x >= score);
  if (above === -1) return curve.at(-1)?.[1] ?? score;
  const [right, left] = [curve[above]!, curve[above - 1]];
  if (!left || right[0] === left[0]) return right[1];
  return left[1] + ((right[1] - left[1]) * (score - left[0])) / (right[0] - left[0]);
}

/** What `goodAnswer` needs of a `Calibration`. */
export interface Scoring {
  weights: Readonly<Record<string, number>>;
  curve: Curve;
}

/** Probability that the edge model's answer to such a request is good enough. */
export function goodAnswer(judged: Judged, { weights, curve }: Scoring): number {
  const probability = onCurve(curve, rawScore(signalValues(judged), weights));
  return Number.isFinite(probability) ? Math.min(1, Math.max(0, probability)) : 0.5;
}
