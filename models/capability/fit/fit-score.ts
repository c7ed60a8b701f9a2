import { onCurve, rawScore, type Scoring, signalValues } from '../score.ts';
import { isotonicCurve } from './isotonic.ts';
import { FOLDS, type Labelled } from './labels.ts';
import { fitLogistic } from './logistic.ts';
import { type Forecast, rounded } from './metrics.ts';

/** Holds the weights down like one example against each: few labels of a kind move its weight little. */
const RIDGE = 1;
/** A signal that fewer rows have says nothing about others. */
const LEAST_ROWS = 5;

interface Example {
  values: Record<string, number>;
  good: 0 | 1;
  fold: number;
}

const examplesOf = (rows: readonly Labelled[]): Example[] =>
  rows.map(({ judged, good, fold }) => ({ values: signalValues(judged), good, fold }));

/** The logistic model and the reliability curve of these labels: the curve is fitted on scores of models that did not see their rows. */
export function fitScore(rows: readonly Labelled[]): Scoring {
  return fitExamples(examplesOf(rows));
}

/** Every row's probability by a fit that did not see its fold: what `fitScore` may be expected to do on other rows. */
export function crossValidated(rows: readonly Labelled[]): Forecast[] {
  const examples = examplesOf(rows);
  return byFold(examples, (others) => {
    const scoring = fitExamples(others);
    return ({ values }) => onCurve(scoring.curve, rawScore(values, scoring.weights));
  });
}

function fitExamples(examples: Example[]): Scoring & { curve: [number, number][] } {
  const forecasts = byFold(examples, (others) => {
    const weights = fitWeights(others);
    return ({ values }) => rawScore(values, weights);
  });
  return { weights: fitWeights(examples), curve: isotonicCurve(forecasts) };
}

function byFold(examples: Example[], train: (others: Example[]) => (example: Example) => number): Forecast[] {
  return Array.from({ length: FOLDS }, (_, fold) => fold).flatMap((fold) => {
    const own = examples.filter((example) => example.fold === fold);
    if (own.length === 0) return [];
    const predict = train(examples.filter((example) => example.fold !== fold));
    return own.map((example) => ({ predicted: predict(example), good: example.good }));
  });
}

function fitWeights(examples: Example[]): Record<string, number> {
  const names = ['intercept', ...signalsIn(examples)];
  const rows = examples.map(({ values }) => names.map((name) => values[name] ?? 0));
  const good = examples.map((example) => example.good);
  const weights = fitLogistic(rows, good, RIDGE);
  return Object.fromEntries(names.map((name, i) => [name, rounded(weights[i]!)]));
}

/** Those that enough rows have, in alphabetical order. */
function signalsIn(examples: Example[]): string[] {
  const counts = new Map<string, number>();
  for (const { values } of examples) {
    for (const [name, value] of Object.entries(values))
      if (name !== 'intercept' && value !== 0) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count >= LEAST_ROWS)
    .map(([name]) => name)
    .sort();
}
