import { log } from '../observe/log.ts';
import type { TokenCounts } from './usage.ts';

/**
 * How an attempt ended: `complete`; `failed`, by the endpoint's fault or refusal; `aborted`, as the client left; `superseded`, as another endpoint,
 * or the edge, was faster. The last three have cost something, too.
 */
export type Outcome = 'complete' | 'failed' | 'aborted' | 'superseded';

export interface AccountHead {
  /** The request's id. */
  id: string;
  model: string;
  endpoint: string;
}

/** Writes down, once, what an attempt at an endpoint has used: of every attempt that was sent, whenever and however it ends. */
export class Account {
  readonly #head: AccountHead;
  #closed = false;

  constructor(head: AccountHead) {
    this.#head = head;
  }

  /** The first call counts: it is made where most is known. */
  close(outcome: Outcome, { promptTokens, completionTokens, estimated }: TokenCounts): void {
    if (this.#closed) return;
    this.#closed = true;
    log('origin_usage', { ...this.#head, outcome, promptTokens, completionTokens, estimated });
  }
}
