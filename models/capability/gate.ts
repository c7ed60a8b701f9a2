/** The model's own sign of how sure it was of one token. */
export interface TokenConfidence {
  /** Natural logarithm of the chosen token's probability, at temperature 1 and before penalties. */
  logprob: number;
  /** Log-probability of the likeliest token less that of the second; null when it was not asked for. */
  margin: number | null;
}

export const GATE_STATISTICS = ['quantile', 'margin'] as const;

/** How the confidence gate judges an answer by its first tokens. */
export interface Gate {
  /** Tokens that are looked at; a shorter answer is judged by all it has. */
  tokens: number;
  /** `quantile`: of the tokens' log-probabilities; `margin`: of their margins. */
  statistic: (typeof GATE_STATISTICS)[number];
  /** Which quantile, 0..1: 0 is the least sure token. */
  quantile: number;
  /** The least value that lets an answer pass. */
  threshold: number;
  /** Answers that begin so are no answers: the model declines. They go to the origin whatever the statistic says. */
  declines: readonly string[];
}

/** The value of the quantile by nearest rank, without interpolation: of n values the one of rank floor(q · (n - 1)), counted from the least. */
export function quantileOf(values: readonly number[], quantile: number): number {
  return values.toSorted((a, b) => a - b)[rankOf(quantile, values.length)] ?? Number.NEGATIVE_INFINITY;
}

const rankOf = (quantile: number, count: number): number => Math.floor(quantile * (count - 1) + 1e-9);

type Rule = Pick<Gate, 'tokens' | 'statistic' | 'quantile'>;

/** What the gate compares with its threshold: of the first tokens of an answer. Minus infinity when a value is missing, or there is none. */
export function gateStatistic(tokens: readonly TokenConfidence[], gate: Rule): number {
  return quantileOf(valuesOf(tokens, gate), gate.quantile);
}

const valuesOf = (tokens: readonly TokenConfidence[], { tokens: first, statistic }: Rule): number[] =>
  tokens.slice(0, first).map(({ logprob, margin }) => {
    const value = statistic === 'quantile' ? logprob : margin;
    return value === null || Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
  });

/** Whether so many of the tokens seen are below the threshold that no further ones can lift the statistic over it. */
export function isBelow(tokens: readonly TokenConfidence[], gate: Gate): boolean {
  const low = valuesOf(tokens, gate).filter((value) => value < gate.threshold).length;
  return low > rankOf(gate.quantile, gate.tokens);
}

/** Whether a text begins like one that declines. */
export const declines = (text: string, { declines: texts }: Pick<Gate, 'declines'>): boolean =>
  texts.some((start) => start !== '' && text.trimStart().startsWith(start));
