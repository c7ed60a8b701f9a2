import { ModelError } from '../../model-error.ts';
import type { Calibration } from '../calibration.ts';
import { goodAnswer, type Scoring } from '../score.ts';
import { fitGate, type GateFit, type GateOptions } from './fit-gate.ts';
import { crossValidated, fitScore } from './fit-score.ts';
import type { Labelled } from './labels.ts';
import { type Forecast, type Measures, measure } from './metrics.ts';

/** Fewer say too little about a model with a dozen weights and a curve of a dozen points. */
const LEAST_LABELS = 200;
const LEAST_OF_EACH = 50;

export interface CalibrateOptions extends GateOptions {
  /** The model's name. */
  model: string;
  /** What was labelled, in a few words. */
  labels: string;
  /** What was assumed so far, to compare with. */
  before: Scoring;
}

export interface Measured extends Measures {
  forecasts: Forecast[];
}

export interface CalibrateResult {
  calibration: Calibration;
  before: Measured;
  /** By cross-validation: each row by a fit that did not see it. */
  after: Measured;
  /** Null when no row has log-probabilities. */
  gate: GateFit | null;
}

/**
 * Fits an edge model's calibration to labelled rows. The same rows give the same calibration, in whatever order. Throws `ModelError` when there are too few
 * labels to fit one.
 */
export function calibrate(rows: readonly Labelled[], options: CalibrateOptions): CalibrateResult {
  requireEnough(rows);
  const ordered = inOrder(rows);
  const { weights, curve } = fitScore(ordered);
  const after = measured(crossValidated(ordered));
  const gate = ordered.some(({ tokens }) => tokens?.length) ? fitGate(ordered, options) : null;
  const good = rows.reduce((sum, row) => sum + row.good, 0);
  const evidence = { labels: options.labels, rows: rows.length, good, auc: after.auc, brier: after.brier, ece: after.ece };
  const calibration: Calibration = {
    version: 1,
    model: options.model,
    calibrated: true,
    weights: { ...weights },
    curve: curve.map(([x, y]) => [x, y]),
    gate: gate?.gate ?? null,
    evidence,
  };
  return { calibration, before: judgeBy(ordered, options.before), after, gate };
}

/** Sums of floating-point numbers depend on their order. */
function inOrder(rows: readonly Labelled[]): Labelled[] {
  const keyed = rows.map((row) => ({ row, key: JSON.stringify([row.judged, row.good, row.answer, row.tokens]) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ row }) => row);
}

/** How well a calibration, or a prior, does on labelled rows that it was not made with. */
export const judgeBy = (rows: readonly Labelled[], scoring: Scoring): Measured =>
  measured(rows.map(({ judged, good }) => ({ predicted: goodAnswer(judged, scoring), good })));

const measured = (forecasts: Forecast[]): Measured => ({ ...measure(forecasts), forecasts });

function requireEnough(rows: readonly Labelled[]): void {
  const good = rows.reduce((sum, row) => sum + row.good, 0);
  const bad = rows.length - good;
  if (rows.length >= LEAST_LABELS && good >= LEAST_OF_EACH && bad >= LEAST_OF_EACH) return;
  throw new ModelError(
    `A calibration needs at least ${LEAST_LABELS} labels, ${LEAST_OF_EACH} of them good and ${LEAST_OF_EACH} not; here are ${rows.length}, ${good} good and ${bad} not.`,
  );
}
