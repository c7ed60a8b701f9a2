export interface Quality {
  /** exp of the mean negative log-likelihood of each token but a window's first, natural logarithm. */
  perplexity: number;
  /** Share of positions where the most likely token is the reference's. */
  top1Agreement: number;
  /** Mean over positions of KL(reference || this), nats. */
  klDivergence: number;
  /** Positions compared. */
  positions: number;
}

/** Gathers, over windows of text, how well logits predict it and how closely they follow a reference's. */
export class Comparison {
  readonly #tokenCount: number;
  #positions = 0;
  #predictions = 0;
  #negativeLogLikelihood = 0;
  #agreements = 0;
  #divergence = 0;

  /** @param tokenCount logits from here on are of padding rows, and left out */
  constructor(tokenCount: number) {
    this.#tokenCount = tokenCount;
  }

  /** One window: its token ids, and the reference's and the measured logits at each of them [tokens][vocabulary]. */
  add(ids: number[], reference: Float32Array[], logits: Float32Array[]): void {
    for (const [i, row] of logits.entries()) {
      const measured = row.subarray(0, this.#tokenCount);
      const expected = reference[i]!.subarray(0, this.#tokenCount);
      const normalizer = logSumExp(measured);
      const next = ids[i + 1];
      if (next !== undefined) {
        this.#negativeLogLikelihood += normalizer - measured[next]!;
        this.#predictions += 1;
      }
      this.#positions += 1;
      if (largest(measured) === largest(expected)) this.#agreements += 1;
      this.#divergence += divergence(expected, logSumExp(expected), measured, normalizer);
    }
  }

  result(): Quality {
    return {
      perplexity: Math.exp(this.#negativeLogLikelihood / this.#predictions),
      top1Agreement: this.#agreements / this.#positions,
      klDivergence: this.#divergence / this.#positions,
      positions: this.#positions,
    };
  }
}

function largest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

function logSumExp(values: Float32Array): number {
  const max = values[largest(values)]!;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - max);
  return max + Math.log(sum);
}

/** KL(p || q) = sum of p (log p - log q), from logits and their normalizers. */
function divergence(p: Float32Array, pNormalizer: number, q: Float32Array, qNormalizer: number): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const log = p[i]! - pNormalizer;
    sum += Math.exp(log) * (log - (q[i]! - qNormalizer));
  }
  return sum;
}
