import { gumbel, gumbelKey, MAX_GUMBEL } from './gumbel.ts';
import type { Kernel } from './kernel.ts';
import { MAX_CANDIDATES } from './scratch.ts';
import type { HeadAnswer, HeadQuery, LogitAdjustment, SliceAnswer } from './stage.ts';

/** Logits of consecutive tokens in the engine's memory, and room for the kernel's candidates. */
export interface LogitSlice {
  kernel: Kernel;
  memory: WebAssembly.Memory;
  /** Address of the first logit. */
  at: number;
  /** Token of the first logit. */
  first: number;
  /** How many, padding rows excluded. */
  count: number;
  /** Room for MAX_CANDIDATES indices and values. */
  indices: number;
  values: number;
}

/** Answers a query about a slice of the vocabulary. The logits in memory are adjusted in place. */
export function answerSlice(slice: LogitSlice, query: HeadQuery): HeadAnswer {
  const { kernel, at, first, count } = slice;
  const logits = new Float32Array(slice.memory.buffer, at, count);
  const temperature = query.massTemperature ?? 1;
  const rawLogSumExp = kernel.logSumExp(at, count, 1);
  const raw = query.adjust ? adjust(logits, first, query.adjust) : new Map<number, number>();
  const rawOf = (index: number): number => raw.get(index) ?? logits[index]!;
  const best = query.candidates > 0 ? largest(slice, logits, Math.min(query.candidates, count)) : [];
  return {
    ids: Int32Array.from(best, (index) => first + index),
    logits: Float32Array.from(best, (index) => logits[index]!),
    rawLogits: Float32Array.from(best, rawOf),
    logSumExp: query.adjust || temperature !== 1 ? kernel.logSumExp(at, count, 1 / temperature) : rawLogSumExp,
    rawLogSumExp,
    drawn: query.draw ? draw(logits, first, query.draw, rawOf) : null,
  };
}

/**
 * Applies penalties and bias in place: repetition (Keskar et al., "CTRL", 2019), then presence and frequency (OpenAI's definition), then bias. Returns the
 * former logits by index.
 */
function adjust(logits: Float32Array, first: number, adjustment: LogitAdjustment): Map<number, number> {
  const raw = new Map<number, number>();
  const change = (id: number, changed: (logit: number) => number) => {
    const index = id - first;
    const logit = logits[index];
    if (logit === undefined) return;
    if (!raw.has(index)) raw.set(index, logit);
    logits[index] = changed(logit);
  };
  const { generated, presencePenalty, frequencyPenalty, repetitionPenalty } = adjustment;
  if (repetitionPenalty !== 1) {
    const seen = new Set([...adjustment.prompt, ...generated.map(([id]) => id)]);
    for (const id of seen) change(id, (logit) => (logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty));
  }
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    for (const [id, count] of generated) change(id, (logit) => logit - presencePenalty - frequencyPenalty * count);
  }
  for (const [id, value] of adjustment.bias) change(id, (logit) => logit + value);
  return raw;
}

/** Indices of the k largest logits, descending, ties by lower index. */
function largest(
  { kernel, memory, at, count, indices, values }: LogitSlice,
  logits: Float32Array,
  k: number,
): Iterable<number> & ArrayLike<number> {
  if (k <= MAX_CANDIDATES) {
    const found = kernel.largestK(at, count, k, indices, values);
    return new Int32Array(memory.buffer, indices, found);
  }
  const order = Int32Array.from(logits, (_, index) => index).sort((a, b) => logits[b]! - logits[a]! || a - b);
  return order.subarray(0, k);
}

/** Gumbel-max over a slice. Tokens that could not win even with the largest noise are skipped, which leaves a few of a quarter million. */
function draw(
  logits: Float32Array,
  first: number,
  { seed, step, temperature }: NonNullable<HeadQuery['draw']>,
  rawOf: (index: number) => number,
): HeadAnswer['drawn'] {
  const key = gumbelKey(seed, step);
  let winner = -1;
  let best = Number.NEGATIVE_INFINITY;
  let bar = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < logits.length; index++) {
    const logit = logits[index]!;
    // Also skips NaN.
    if (!(logit > bar)) continue;
    const score = logit / temperature + gumbel(key, first + index);
    if (score > best) {
      winner = index;
      best = score;
      bar = (best - MAX_GUMBEL - 0.01) * temperature;
    }
  }
  return winner < 0 ? null : { id: first + winner, score: best, logit: logits[winner]!, rawLogit: rawOf(winner) };
}

/**
 * The answer of a head from those of the pieces it was computed in, all to the same query.
 * @param candidates the query's number of candidates
 */
export function mergeHeadAnswers(answers: HeadAnswer[], candidates: number): HeadAnswer {
  const [only] = answers;
  if (only && answers.length === 1) return only;
  return {
    ...mergeTokens(answers, candidates),
    logSumExp: addLogs(answers.map((answer) => answer.logSumExp)),
    rawLogSumExp: addLogs(answers.map((answer) => answer.rawLogSumExp)),
  };
}

/** The answer of a slice of the vocabulary from those of its pieces. */
export function mergeSliceAnswers(pieces: HeadAnswer[], candidates: number): SliceAnswer {
  const sums = pieces.map(({ logSumExp }) => logSumExp);
  const rawSums = pieces.map(({ rawLogSumExp }) => rawLogSumExp);
  return { ...mergeHeadAnswers(pieces, candidates), sums, rawSums, next: null };
}

/** The answer of the whole vocabulary from those of its slices, in the order of their rows. */
export function mergeSlices(slices: SliceAnswer[], candidates: number): HeadAnswer {
  // Slices of padding rows have nothing to say.
  const [sums, rawSums] = [slices.flatMap((slice) => slice.sums), slices.flatMap((slice) => slice.rawSums)];
  return {
    ...mergeTokens(slices, candidates),
    logSumExp: sums.length === 1 ? sums[0]! : addLogs(sums),
    rawLogSumExp: rawSums.length === 1 ? rawSums[0]! : addLogs(rawSums),
  };
}

/** The token of a slice that is the next one, if it is of this slice: certain without filters, else likely. */
export function likelyNext(answer: HeadAnswer, { drawAmong }: HeadQuery): number | null {
  if (answer.drawn) return answer.drawn.id;
  if (answer.ids.length === 0) return null;
  if (!drawAmong) return answer.ids[0]!;
  const key = gumbelKey(drawAmong.seed, drawAmong.step);
  const score = (i: number) => answer.logits[i]! / drawAmong.temperature + gumbel(key, answer.ids[i]!);
  return answer.ids[answer.ids.reduce((best, _, i) => (score(i) > score(best) ? i : best), 0)]!;
}

function mergeTokens(answers: HeadAnswer[], candidates: number): Pick<HeadAnswer, 'ids' | 'logits' | 'rawLogits' | 'drawn'> {
  const all = answers.flatMap((answer) =>
    Array.from(answer.ids, (id, i) => ({ id, logit: answer.logits[i]!, rawLogit: answer.rawLogits[i]! })),
  );
  const best = all.sort((a, b) => b.logit - a.logit || a.id - b.id).slice(0, candidates);
  const drawn = answers.map((answer) => answer.drawn).filter((token) => token !== null);
  return {
    ids: Int32Array.from(best, ({ id }) => id),
    logits: Float32Array.from(best, ({ logit }) => logit),
    rawLogits: Float32Array.from(best, ({ rawLogit }) => rawLogit),
    drawn: drawn.sort((a, b) => b.score - a.score || a.id - b.id)[0] ?? null,
  };
}

/** log(sum(exp(x))). */
function addLogs(values: number[]): number {
  const max = Math.max(...values);
  return max === Number.NEGATIVE_INFINITY ? max : max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
