import { findInCatalog } from '../catalog.ts';
import type { ModelConfig } from '../config.ts';
import type { Calibration } from './calibration.ts';
import type { PromptKind } from './prompt-kind.ts';
import { logit } from './score.ts';

type Prior = Record<PromptKind, number>;

/**
 * How often an answer to an ordinary prompt of each kind would be good enough: judgement, measured with nothing. What it leans on are published scores without
 * thinking: `maths` on GSM8K, `open` and `rewrite` on IFEval, `short-answer` on MMLU-Redux (models/catalog.ts; the cards of SmolLM2); everyday
 * prompts are easier than those, so most are set a little higher. `code` is a guess: small models write short functions and little more.
 */
const PRIORS = {
  'Qwen/Qwen3.5-0.8B': prior(0.8, 0.8, 0.7, 0.55, 0.5, 0.3, 0.45),
  'Qwen/Qwen3.5-2B': prior(0.87, 0.87, 0.8, 0.7, 0.62, 0.45, 0.6),
  'Qwen/Qwen3.5-4B': prior(0.92, 0.92, 0.88, 0.82, 0.78, 0.65, 0.82),
  'Qwen/Qwen3.5-9B': prior(0.94, 0.94, 0.92, 0.88, 0.86, 0.78, 0.88),
  'SmolLM2-135M': prior(0.45, 0.4, 0.35, 0.35, 0.3, 0.08, 0.05),
  'SmolLM2-360M': prior(0.55, 0.5, 0.45, 0.45, 0.38, 0.12, 0.1),
  'SmolLM2-1.7B': prior(0.75, 0.75, 0.7, 0.6, 0.55, 0.3, 0.4),
  /** The model that ships with this repository, and others of its size: trained for a few short tasks, and for nothing else. */
  tiny: prior(0.75, 0.75, 0.05, 0.4, 0.05, 0.03, 0.05),
} satisfies Record<string, Prior>;

function prior(classify: number, extract: number, rewrite: number, shortAnswer: number, open: number, code: number, maths: number): Prior {
  return { classify, extract, rewrite, 'short-answer': shortAnswer, open, code, maths };
}

/** What makes a prompt harder than an ordinary one of its kind, in log odds: judgement too. */
const SLOPES = {
  prompt_tokens: -0.12,
  answer_tokens: -0.2,
  turns: -0.15,
  questions: -0.1,
  constraints: -0.3,
  code: -0.5,
  mathematics: -2,
  not_english: -0.3,
  not_latin: -0.3,
  difficulty: 0.5,
};

/** SmolLM2 and what was made from it, by hidden size. */
const SMOLLM2: Record<number, keyof typeof PRIORS> = { 576: 'SmolLM2-135M', 960: 'SmolLM2-360M', 2048: 'SmolLM2-1.7B' };

/** By hidden size: the largest known model that is not wider. */
const BY_WIDTH: [number, keyof typeof PRIORS][] = [
  [4096, 'Qwen/Qwen3.5-9B'],
  [2560, 'Qwen/Qwen3.5-4B'],
  [2048, 'SmolLM2-1.7B'],
  [1024, 'Qwen/Qwen3.5-0.8B'],
  [960, 'SmolLM2-360M'],
  [576, 'SmolLM2-135M'],
];

/** What is assumed of a model that nobody has calibrated, by its size. Its curve changes nothing and it has no gate: a threshold cannot be guessed. */
export function priorCalibration(name: string, config: ModelConfig): Calibration {
  const known = findInCatalog(config)?.id ?? (config.architecture === 'llama' ? SMOLLM2[config.hiddenSize] : undefined);
  const like = known ?? BY_WIDTH.find(([width]) => config.hiddenSize >= width)?.[1] ?? 'tiny';
  const kinds: Prior = PRIORS[like as keyof typeof PRIORS] ?? PRIORS.tiny;
  const weights = Object.fromEntries(Object.entries(kinds).map(([kind, probability]) => [`kind:${kind}`, logit(probability)]));
  return { version: 1, model: name, calibrated: false, weights: { ...weights, ...SLOPES }, curve: [], gate: null, evidence: null };
}
