import { z } from 'zod';
import { GATE_STATISTICS } from './gate.ts';

const number = z.number();
const probability = number.min(0).max(1);

/** The gate and what it was found to do, of the answers it was measured on: those it lets pass, and how many of these are good. */
const gateSchema = z.object({
  tokens: z.int().min(1).max(4096),
  statistic: z.enum(GATE_STATISTICS),
  quantile: probability,
  threshold: number,
  declines: z.array(z.string().min(1).max(200)).max(20),
  /** Share of answers that pass, and the share of good ones among them, on answers that the threshold was not chosen with. */
  accepted: probability,
  precision: probability,
  /** The precision that was asked for. */
  target: probability,
});

/** A figure and its 95 % bootstrap interval. */
const figureSchema = z.object({ value: number, low: number, high: number });

const evidenceSchema = z.object({
  /** What was labelled, in a few words. */
  labels: z.string().max(400),
  rows: z.int().min(0),
  good: z.int().min(0),
  auc: figureSchema,
  brier: figureSchema,
  /** Expected calibration error, ten bins of equal size. */
  ece: figureSchema,
});

/**
 * How good one edge model's answers are, and how to tell: part of a pack's manifest, reported by the engine with its status. `calibrated` is false for a prior,
 * which was measured with nothing.
 */
export const calibrationSchema = z.object({
  version: z.literal(1),
  /** The model's name. */
  model: z.string().max(200),
  calibrated: z.boolean(),
  /** Of a logistic model over the signals (score.ts), with `intercept` and `kind:...`. */
  weights: z.record(z.string().max(40), number.min(-100).max(100)).refine((weights) => Object.keys(weights).length <= 64),
  /** Reliability: score and share of good answers, rising. */
  curve: z
    .array(z.tuple([probability, probability]))
    .max(64)
    .refine(neverFalls),
  gate: gateSchema.nullable(),
  evidence: evidenceSchema.nullable(),
});

export type Calibration = z.infer<typeof calibrationSchema>;
export type CalibratedGate = z.infer<typeof gateSchema>;
export type Evidence = z.infer<typeof evidenceSchema>;
export type Figure = z.infer<typeof figureSchema>;

function neverFalls(curve: [number, number][]): boolean {
  return curve.every(([x, y], i) => i === 0 || (x >= curve[i - 1]![0] && y >= curve[i - 1]![1]));
}

/** A calibration that came from elsewhere, or null when it is none: routing then goes by what it assumes of any small model. */
export function readCalibration(value: unknown): Calibration | null {
  return calibrationSchema.safeParse(value).data ?? null;
}
