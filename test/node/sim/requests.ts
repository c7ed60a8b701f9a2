import type { SimRequest } from '../../../bench/sim/request.ts';

/** A plain request; tests say what is different. */
export function simRequest(known: Partial<SimRequest> = {}): SimRequest {
  return {
    at: 0,
    key: 'key',
    kind: 'classify',
    promptTokens: 32,
    outputTokens: 8,
    maxTokens: 64,
    stream: true,
    originOnly: false,
    blocks: [],
    blockTokens: 16,
    judgement: { edge: 0.8, origin: 0.95, estimate: 0.8, sign: 1 },
    ...known,
  };
}
