import { answerPrior, estimateEdge, estimateOrigin } from '../../../worker/routing/estimate.ts';
import type { EdgeEstimate, Estimates, OriginEstimate } from '../../../worker/routing/estimates.ts';
import { edgePrices, unknownOriginPrice } from '../../../worker/routing/prices.ts';
import { type Failure, type Features, plainFeatures } from '../../../worker/routing/types.ts';

/** A small request, and what is assumed where nothing is measured; tests say what is different. */
export const limits = { edgeMaxPromptTokens: 256, edgeMaxTokens: 128 };

export const plain: Features = {
  ...plainFeatures,
  model: 'nearside-auto',
  promptBytes: 100,
  maxTokens: 16,
  maxTokensParam: 'max_tokens',
  obstacles: [],
  thinking: false,
  toolHistory: false,
};

export function edgeEstimate(known: Partial<EdgeEstimate> = {}): EdgeEstimate {
  const traits = { price: edgePrices['durable-object'], contextTokens: null, calibration: null };
  return { ...estimateEdge({ model: 'small', refusal: null }, traits, null, 0), ...known };
}

export function originEstimate(known: Partial<OriginEstimate> = {}): OriginEstimate {
  const traits = { price: unknownOriginPrice, contextTokens: null, regions: [null], quality: 1 };
  return { ...estimateOrigin({ model: 'big', failure: null }, traits, null, 0), ...known };
}

export const failing = (failure: Failure): OriginEstimate => originEstimate({ failure });

export function estimates(known: Partial<Estimates> = {}): Estimates {
  return { edge: edgeEstimate(), origins: [originEstimate()], answer: answerPrior, ...known };
}
