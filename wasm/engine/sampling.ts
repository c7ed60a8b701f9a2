import type { SamplingDefaults } from '../../models/pack/manifest.ts';
import { type GumbelKey, gumbel, gumbelKey } from './gumbel.ts';
import type { HeadAnswer, HeadQuery, LogitAdjustment } from './stage.ts';

/** Sampling as a client asked for it; absent values take the pack's. */
export interface SamplingRequest {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  repetitionPenalty?: number;
  seed?: number;
  logitBias?: Record<string, number>;
}

/** Sampling with nothing left open. */
export interface Sampling {
  /** 0 is greedy. */
  temperature: number;
  /** 1 is off. */
  topP: number;
  /** 0 is off. */
  topK: number;
  /** 0 is off. */
  minP: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** 1 is off. */
  repetitionPenalty: number;
  seed: number;
  logitBias: [id: number, value: number][];
}

/** @param randomSeed used when the request names none: drawn by the caller, so that everything here stays a function of its arguments. */
export function resolveSampling(request: SamplingRequest, defaults: SamplingDefaults, randomSeed: number): Sampling {
  return {
    temperature: request.temperature ?? defaults.temperature,
    topP: request.topP ?? defaults.topP,
    topK: Math.max(0, request.topK ?? defaults.topK),
    minP: request.minP ?? defaults.minP,
    presencePenalty: request.presencePenalty ?? defaults.presencePenalty,
    frequencyPenalty: request.frequencyPenalty ?? 0,
    repetitionPenalty: request.repetitionPenalty ?? defaults.repetitionPenalty,
    seed: request.seed ?? randomSeed,
    logitBias: Object.entries(request.logitBias ?? {}).map(([id, value]) => [Number(id), value]),
  };
}

/** A token with the natural log of its probability under the model's own distribution: before penalties, bias, temperature and filters, as OpenAI reports it. */
export interface TokenLogprob {
  id: number;
  logprob: number;
}

export interface Choice extends TokenLogprob {
  /** The most probable tokens, best first; empty unless asked for. */
  top: TokenLogprob[];
}

/** Asks the head again about the same position. */
export type AskHead = (query: HeadQuery) => Promise<HeadAnswer>;

/** Candidates asked for first where a filter has no fixed count; most distributions put their nucleus in these. */
const FIRST_CANDIDATES = 64;
const MORE_CANDIDATES = 8;

/**
 * Chooses the tokens of one sequence from what a stage's head says of each position.
 *
 * Order of operations, as in vLLM: bias and penalties change the logits, temperature divides them, then top_k keeps the best k, top_p the smallest set of
 * best tokens with that mass (of what top_k left), min_p those at least that probable relative to the best. One of what is left is drawn by the
 * Gumbel-max rule (gumbel.ts), so the same seed gives the same text however the vocabulary is sliced.
 */
export class Sampler {
  readonly #sampling: Sampling;
  readonly #topLogprobs: number | null;
  readonly #prompt: number[];
  readonly #counts = new Map<number, number>();
  #step = 0;

  /** @param topLogprobs alternatives to report for each token, or null. @param promptIds the repetition penalty counts them as seen. */
  constructor(sampling: Sampling, promptIds: number[], topLogprobs: number | null) {
    this.#sampling = sampling;
    this.#topLogprobs = topLogprobs;
    this.#prompt = sampling.repetitionPenalty === 1 ? [] : [...new Set(promptIds)];
  }

  /** True when choosing may need a second look at a position: then only its last token may have been evaluated. */
  get mayAskAgain(): boolean {
    const { temperature, topK, topP, minP } = this.#sampling;
    return (temperature > 0 && topK === 0 && (topP < 1 || minP > 0)) || ((this.#topLogprobs ?? 0) > 0 && this.#adjustment() !== null);
  }

  /** What to ask of the head at the next position, or at the one after `drafted` tokens if these should be chosen. */
  query(drafted: number[] = []): HeadQuery {
    const { temperature, topK, topP, minP } = this.#sampling;
    const adjust = this.#adjustment(drafted);
    const alternatives = adjust ? 0 : (this.#topLogprobs ?? 0);
    if (temperature === 0) return { candidates: Math.max(1, alternatives), adjust, draw: null };
    const draw = { seed: this.#sampling.seed, step: this.#step + drafted.length, temperature };
    if (topK > 0) return { candidates: Math.max(topK, alternatives), adjust, draw: null, drawAmong: draw };
    if (topP < 1 || minP > 0)
      return { candidates: Math.max(FIRST_CANDIDATES, alternatives), adjust, draw: null, drawAmong: draw, massTemperature: temperature };
    return { candidates: alternatives, adjust, draw };
  }

  /**
   * Chooses from the answer to `query()`, and counts the token as generated.
   * @param ask used when the answer holds too little: the mass that top_p wants, or alternatives of the unadjusted distribution
   */
  async choose(query: HeadQuery, answer: HeadAnswer, ask: AskHead): Promise<Choice> {
    const picked = await this.#pick(query, answer, ask);
    const top = await this.#alternatives(query, answer, ask);
    this.#counts.set(picked.id, (this.#counts.get(picked.id) ?? 0) + 1);
    this.#step += 1;
    return { id: picked.id, logprob: picked.rawLogit - answer.rawLogSumExp, top };
  }

  async #pick(query: HeadQuery, answer: HeadAnswer, ask: AskHead): Promise<{ id: number; rawLogit: number }> {
    if (answer.drawn) return answer.drawn;
    if (this.#sampling.temperature === 0) return candidate(answer, 0);
    let known = answer;
    let kept = countKept(known, this.#sampling, query.candidates);
    for (let candidates = query.candidates; kept === null; ) {
      candidates *= MORE_CANDIDATES;
      known = await ask({ ...query, candidates });
      kept = countKept(known, this.#sampling, candidates);
    }
    return candidate(known, drawIndex(known, kept, this.#sampling.temperature, gumbelKey(this.#sampling.seed, this.#step)));
  }

  async #alternatives(query: HeadQuery, answer: HeadAnswer, ask: AskHead): Promise<TokenLogprob[]> {
    const count = this.#topLogprobs ?? 0;
    if (count === 0) return [];
    const raw = query.adjust ? await ask({ candidates: count, adjust: null, draw: null }) : answer;
    return Array.from(raw.ids.subarray(0, count), (id, i) => ({ id, logprob: raw.rawLogits[i]! - raw.rawLogSumExp }));
  }

  #adjustment(drafted: number[] = []): LogitAdjustment | null {
    const { logitBias, presencePenalty, frequencyPenalty, repetitionPenalty } = this.#sampling;
    const penalized = presencePenalty !== 0 || frequencyPenalty !== 0 || repetitionPenalty !== 1;
    if (!penalized && logitBias.length === 0) return null;
    // It travels to every stage of the head, so not when only the bias counts.
    const counts = new Map(penalized ? this.#counts : []);
    if (penalized) for (const id of drafted) counts.set(id, (counts.get(id) ?? 0) + 1);
    return { bias: logitBias, generated: [...counts], presencePenalty, frequencyPenalty, repetitionPenalty, prompt: this.#prompt };
  }
}

function candidate(answer: HeadAnswer, index: number): { id: number; rawLogit: number } {
  const id = answer.ids[index];
  const rawLogit = answer.rawLogits[index];
  if (id === undefined || rawLogit === undefined || Number.isNaN(rawLogit))
    throw new Error('The model gave no usable logits for the next token.');
  return { id, rawLogit };
}

/**
 * How many of the answer's best tokens the filters leave (at least one), or null when the answer holds too few to tell.
 * @param asked candidates the query asked for: an answer with fewer holds the whole vocabulary
 */
function countKept(answer: HeadAnswer, sampling: Sampling, asked: number): number | null {
  const { temperature, topK, topP, minP } = sampling;
  const size = answer.ids.length;
  const complete = size < asked;
  const limit = topK > 0 ? Math.min(topK, size) : size;
  const best = answer.logits[0]! / temperature;
  // With top_k the mass is that of the k kept tokens; without, the head gave the whole distribution's at this temperature.
  const total = topK > 0 ? sumExp(answer.logits, limit, temperature, best) : Math.exp(answer.logSumExp - best);
  let mass = 0;
  for (let i = 0; i < limit; i++) {
    const probability = Math.exp(answer.logits[i]! / temperature - best);
    if (minP > 0 && i > 0 && probability < minP) return i;
    mass += probability;
    if (topP < 1 && mass >= topP * total) return i + 1;
  }
  return topK > 0 || complete ? Math.max(1, limit) : null;
}

function sumExp(logits: Float32Array, count: number, temperature: number, offset: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp(logits[i]! / temperature - offset);
  return sum;
}

/** Index of the best perturbed score among the first `count` tokens. */
function drawIndex(answer: HeadAnswer, count: number, temperature: number, key: GumbelKey): number {
  let best = 0;
  let bestScore = -Infinity;
  for (let i = 0; i < count; i++) {
    const score = answer.logits[i]! / temperature + gumbel(key, answer.ids[i]!);
    if (score > bestScore) {
      best = i;
      bestScore = score;
    }
  }
  return best;
}
