import type { CalibratedGate } from '../calibration.ts';
import { declines, type Gate, gateStatistic, type TokenConfidence } from '../gate.ts';
import { FOLDS, type Labelled } from './labels.ts';
import { auc, rounded } from './metrics.ts';

/** What a gate may look at. */
const RULES = [8, 12, 16].flatMap((tokens) =>
  (['quantile', 'margin'] as const).flatMap((statistic) => [0, 0.1, 0.25, 0.5].map((quantile) => ({ tokens, statistic, quantile }))),
);
type Rule = (typeof RULES)[number];

interface Answer {
  tokens: TokenConfidence[];
  good: 0 | 1;
  fold: number;
}

export interface GateOptions {
  /** Share of good answers among those that pass. */
  target: number;
  declines: string[];
}

export interface GateFit {
  /** Null: no threshold reaches the target. */
  gate: CalibratedGate | null;
  /** Answers with log-probabilities that do not decline, and the good ones among them. */
  answers: number;
  good: number;
  /** Answers that decline: they never pass. */
  declined: number;
  /** How well each rule tells good answers from bad ones, best first; `mean` of the log-probabilities for comparison. */
  ranking: { name: string; auc: number }[];
}

/** Answers that must pass for a precision to mean anything. */
const LEAST_PASSING = 20;

/**
 * A gate that lets through as many answers as it can while the share of good ones among them reaches the target: by the rule above that tells good from bad best. What it
 * is said to do is what thresholds do that were chosen on four folds, on the fifth.
 */
export function fitGate(rows: readonly Labelled[], options: GateOptions): GateFit {
  const answered = rows.flatMap(({ tokens, answer, good, fold }) => (tokens?.length ? [{ tokens, answer, good, fold }] : []));
  const answers = answered.filter(({ answer }) => !declines(answer ?? '', options));
  // Without alternatives there are no margins.
  const rules = RULES.filter(({ statistic }) => statistic === 'quantile' || answers.every(({ tokens }) => tokens[0]!.margin !== null));
  const ranked = rules.map((rule) => ({ rule, name: nameOf(rule), auc: aucOf(answers, (tokens) => gateStatistic(tokens, rule)) }));
  // Equals in the order above: fewer tokens are held back for less time.
  const best = ranked.toSorted((a, b) => b.auc - a.auc)[0];
  const means = [8, 16].map((tokens) => ({ name: `mean of ${tokens}`, auc: aucOf(answers, meanOf(tokens)) }));
  return {
    gate: best ? gateOf(answers, answered.length, best.rule, options) : null,
    answers: answers.length,
    good: answers.reduce((sum, { good }) => sum + good, 0),
    declined: answered.length - answers.length,
    ranking: [...ranked, ...means].map(({ name, auc }) => ({ name, auc })).sort((a, b) => b.auc - a.auc),
  };
}

/** @param total answers, those that decline included: they do not pass either */
function gateOf(answers: Answer[], total: number, rule: Rule, { target, declines }: GateOptions): CalibratedGate | null {
  const threshold = chooseThreshold(answers, rule, target);
  if (threshold === null) return null;
  const passed = passOtherFolds(answers, rule, target);
  const precision = passed.reduce((sum, { good }) => sum + good, 0) / Math.max(1, passed.length);
  return { ...rule, threshold, declines, accepted: rounded(passed.length / total), precision: rounded(precision), target };
}

/** What a gate does on answers that it was not made with: the share that passes, and the share of good ones among them. Null without log-probabilities. */
export function judgeGate(rows: readonly Labelled[], gate: CalibratedGate): { accepted: number; precision: number } | null {
  const answered = rows.flatMap(({ tokens, answer, good }) => (tokens?.length ? [{ tokens, answer, good }] : []));
  if (answered.length === 0) return null;
  const passed = answered.filter(({ tokens, answer }) => !declines(answer ?? '', gate) && gateStatistic(tokens, gate) >= gate.threshold);
  const good = passed.reduce((sum, row) => sum + row.good, 0);
  return { accepted: passed.length / answered.length, precision: good / Math.max(1, passed.length) };
}

export const nameOf = ({ tokens, statistic, quantile }: Pick<Gate, 'tokens' | 'statistic' | 'quantile'>): string =>
  `${statistic === 'quantile' ? 'log-probability' : 'margin'}, quantile ${quantile} of ${tokens}`;

/** The answers that pass thresholds which were chosen without their fold. */
function passOtherFolds(answers: Answer[], rule: Rule, target: number): Answer[] {
  return Array.from({ length: FOLDS }, (_, fold) => fold).flatMap((fold) => {
    const others = answers.filter((answer) => answer.fold !== fold);
    const threshold = chooseThreshold(others, rule, target);
    return answers.filter((answer) => answer.fold === fold && threshold !== null && gateStatistic(answer.tokens, rule) >= threshold);
  });
}

/** The lowest threshold at which the target is reached, between two answers; null when none does. */
function chooseThreshold(answers: Answer[], rule: Rule, target: number): number | null {
  const scored = answers.map(({ tokens, good }) => ({ score: gateStatistic(tokens, rule), good })).sort((a, b) => b.score - a.score);
  let [good, threshold] = [0, null as number | null];
  scored.forEach((answer, i) => {
    good += answer.good;
    const next = scored[i + 1]?.score ?? answer.score - 1;
    if (next === answer.score || i + 1 < LEAST_PASSING) return;
    if (lowerBound(good, i + 1) >= target) threshold = rounded((answer.score + Math.max(next, answer.score - 1)) / 2);
  });
  return threshold;
}

/**
 * A share that is reached with about 84 % certainty: the lower end of Wilson's interval (1927) for one standard error. The best of many thresholds looks better
 * than it is.
 */
function lowerBound(good: number, count: number): number {
  const share = good / count;
  return (share + 1 / (2 * count) - Math.sqrt((share * (1 - share)) / count + 1 / (4 * count * count))) / (1 + 1 / count);
}

const aucOf = (answers: Answer[], statistic: (tokens: TokenConfidence[]) => number): number =>
  rounded(auc(answers.map(({ tokens, good }) => ({ predicted: statistic(tokens), good }))));

const meanOf = (first: number) => (tokens: TokenConfidence[]) => {
  const seen = tokens.slice(0, first);
  return seen.reduce((sum, { logprob }) => sum + logprob, 0) / seen.length;
};
