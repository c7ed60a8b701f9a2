import { goodAnswer, type Judged, type Scoring } from '../../models/capability/score.ts';

export interface Capability {
  /** That the edge model's answer is good enough, 0..1. */
  probability: number;
  /** False: it rests on priors. */
  calibrated: boolean;
}

/** Of a model that nobody has said anything about: small work mostly succeeds, and less so the longer it is. */
const UNKNOWN_MODEL: Scoring = {
  weights: { intercept: 2.1, prompt_tokens: -0.12, answer_tokens: -0.1, constraints: -0.3, code: -0.5, mathematics: -2, difficulty: 0.5 },
  curve: [],
};

/**
 * How likely the edge model's answer is to be good enough: a logistic model over what can be seen of the request (models/capability/score.ts), set right by the edge
 * model's own reliability curve. Both come with its pack.
 * @param calibration null when the engine has none to tell
 */
export function capability(features: Judged, calibration: (Scoring & { calibrated: boolean }) | null): Capability {
  return { probability: goodAnswer(features, calibration ?? UNKNOWN_MODEL), calibrated: calibration?.calibrated ?? false };
}
