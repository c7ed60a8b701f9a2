import type { Calibration, Features } from './types.ts';

export interface Capability {
  /** That the edge model's answer is good enough, 0..1. */
  probability: number;
  /** False: it rests on priors. */
  calibrated: boolean;
}

/** Before anything is known: small work mostly succeeds, and less so the longer the prompt. */
export function capability(features: Features, calibration: Calibration | null): Capability {
  const tokens = features.promptTokens ?? features.promptBytes / 4;
  const prior = 0.9 - 0.1 * Math.min(1, tokens / 1024);
  const probability = features.difficulty ? 1 - features.difficulty.strongHelps : prior;
  return { probability, calibrated: calibration?.calibrated ?? false };
}
