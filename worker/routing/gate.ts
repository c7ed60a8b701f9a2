import { declines, type Gate, gateStatistic, isBelow, type TokenConfidence } from '../../models/capability/gate.ts';

/** What has come of an answer while it is held back. */
export interface HeldBack {
  tokens: readonly TokenConfidence[];
  text: string;
  /** The answer is complete. */
  finished: boolean;
}

export type GateVerdict = 'accept' | 'escalate' | 'wait';

/**
 * Whether an answer that begins so may be sent. As early as it can be told: a beginning that is bad enough needs no more tokens to be seen. A low quantile of the
 * tokens' log-probabilities tells more than their mean (Gupta et al., "Language Model Cascades", ICLR 2024).
 */
export function gateVerdict(seen: HeldBack, gate: Gate): GateVerdict {
  if (declines(seen.text, gate) || isBelow(seen.tokens, gate)) return 'escalate';
  if (!seen.finished && (seen.tokens.length < gate.tokens || mayStillDecline(seen.text, gate))) return 'wait';
  return gateStatistic(seen.tokens, gate) >= gate.threshold ? 'accept' : 'escalate';
}

/** The text is the beginning of one that declines. */
function mayStillDecline(text: string, gate: Gate): boolean {
  const begun = text.trimStart();
  return gate.declines.some((whole) => whole.length > begun.length && whole.startsWith(begun));
}

/** Alternatives per token that the engine has to be asked for (`EdgeRequest.topLogprobs`). */
export const gateAlternatives = (gate: Gate): number => (gate.statistic === 'margin' ? 2 : 0);

/** A token as the engine reports it, as the gate wants it. */
export function tokenConfidence(token: { logprob: number; top_logprobs: { logprob: number }[] }): TokenConfidence {
  const [first, second] = token.top_logprobs;
  return { logprob: token.logprob, margin: first && second ? first.logprob - second.logprob : null };
}
