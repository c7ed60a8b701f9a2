import { answerPrior } from './estimate.ts';
import { addValue, emptySketch, partBelow, type QuantileSketch, quantileOf } from './quantile-sketch.ts';
import type { Quantiles } from './types.ts';

/** Lengths of answers, tokens, by API key and kind of prompt and by kind alone; the least recently used first. */
export type AnswerLengths = ReadonlyMap<string, QuantileSketch>;

/** So many are kept, some 750 bytes each; the least recently used is forgotten. */
const mostLengths = 256;

/** What is known in general counts as so many answers against those of the key. */
const priorAnswers = 8;

/**
 * One answer more.
 * @param cutOff the answer hit a limit, so it would have been longer
 */
export function addLength(lengths: AnswerLengths, key: string, kind: string, tokens: number, cutOff: boolean): AnswerLengths {
  const next = new Map(lengths);
  for (const name of [nameOf(null, kind), nameOf(key, kind)]) {
    const sketch = next.get(name) ?? emptySketch;
    next.delete(name);
    next.set(name, addValue(sketch, cutOff ? beyond(sketch, tokens) : tokens));
  }
  for (const name of next.keys()) {
    if (next.size <= mostLengths) break;
    next.delete(name);
  }
  return next;
}

/** What an answer to such a prompt is expected to have: what was seen of the key, drawn towards what was seen of the kind, drawn towards the prior. */
export function estimateAnswer(lengths: AnswerLengths, key: string, kind: string): Quantiles {
  const general = drawn(answerPrior, lengths.get(nameOf(null, kind)));
  return drawn(general, lengths.get(nameOf(key, kind)));
}

function drawn(prior: Quantiles, sketch: QuantileSketch | undefined): Quantiles {
  if (!sketch || sketch.total <= 0) return prior;
  const weight = sketch.total / (sketch.total + priorAnswers);
  const p50 = prior.p50 * (quantileOf(sketch, 0.5)! / prior.p50) ** weight;
  const p95 = prior.p95 * (quantileOf(sketch, 0.95)! / prior.p95) ** weight;
  return { p50, p95: Math.max(p50, p95) };
}

/**
 * An answer that was cut off would have had some length above: the median of those seen there (redistribution to the right: Efron 1967), or of what is assumed of any
 * answer. A hundred answers that were cut off after eight tokens do not say that answers are short.
 */
function beyond(sketch: QuantileSketch, tokens: number): number {
  const above = 1 - partBelow(sketch, tokens);
  const median = above > 0.02 ? quantileOf(sketch, 1 - above / 2) : null;
  return Math.max(1.5 * tokens, median ?? answerPrior.p50);
}

/** Keys are ids and may be anything; kinds are our own words. */
function nameOf(key: string | null, kind: string): string {
  return key === null ? kind : `${kind}\n${key}`;
}
