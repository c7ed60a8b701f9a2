/** A request of a trace, with what nobody knows beforehand. */
export interface SimRequest {
  /** Milliseconds after the first. */
  at: number;
  /** The API key's id. */
  key: string;
  /** What sort of prompt it is: `Features.kind`. */
  kind: string;
  promptTokens: number;
  /** Tokens of the whole answer, if nothing cuts it off. */
  outputTokens: number;
  maxTokens: number | null;
  stream: boolean;
  /** It has tools: only an origin can answer. */
  originOnly: boolean;
  /** Leading blocks of the prompt, of `blockTokens` each; equal ids are a common beginning. */
  blocks: readonly number[];
  blockTokens: number;
  judgement: Judgement;
}

/** How good the answers are, and what can be seen of that: see quality.ts. */
export interface Judgement {
  /** Probabilities that the answer is good enough. */
  edge: number;
  origin: number;
  /** What the router is told of the edge's. */
  estimate: number;
  /** What the gate sees of the edge's answer, in standard deviations: higher where it is good. */
  sign: number;
}

/** Prompt tokens that `blocks` of its beginning hold. */
export function tokensOf({ blockTokens, promptTokens }: SimRequest, blocks: number): number {
  return Math.min(promptTokens, blocks * blockTokens);
}
