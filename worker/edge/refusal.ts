import type { EdgeFigures } from '../routing/figures.ts';
import type { EdgeRefusal, EdgeRefusalCode } from './protocol.ts';

const STATUS: Record<EdgeRefusalCode, number> = { prompt_too_long: 400, bad_request: 400, queue_full: 503, model_unavailable: 503 };

/** A request that is turned down before anything was generated. */
export class RefusalError extends Error {
  override readonly name = 'RefusalError';
  readonly refusal: EdgeRefusal;

  constructor(refused: EdgeRefusalCode, message: string, details: { promptTokens?: number; retryAfter?: number; param?: string } = {}) {
    super(message);
    const { promptTokens = null, retryAfter = null, param = null } = details;
    this.refusal = { refused, message, promptTokens, retryAfter, param };
  }

  /** @param figures the engine's load now */
  response(figures: EdgeFigures): Response {
    return Response.json({ ...this.refusal, figures } satisfies EdgeRefusal, { status: STATUS[this.refusal.refused] });
  }
}
