/** Tokens per second as one session sees them, null until measured. */
export interface Rates {
  prefill: number | null;
  decode: number | null;
}

/** What is left of the past after each further turn: the last ten turns or so make the rate. */
const MEMORY = 0.9;

/**
 * Rates from token counts and the time between yields to the event loop. A deployed Worker's clock stands still during computation and moves on at a
 * yield, so a turn may seem to take no time and the next one double: sums over several turns are right where single turns are not.
 */
export class RateMeter {
  readonly #prefill = { tokens: 0, ms: 0 };
  readonly #decode = { tokens: 0, ms: 0 };
  /** Sessions that shared the turns which `#decode` was measured in: their sum, remembered as long. */
  readonly #batch = { tokens: 0, ms: 0 };

  /** @param tokens per sequence of the turn: one for a decode step, more for a prefill chunk. @param ms what the turn took. */
  add(tokens: number[], ms: number): void {
    const prefill = Math.max(0, ...tokens.filter((count) => count > 1));
    if (prefill > 0) remember(this.#prefill, prefill, ms);
    // Every session gets one token a turn, however many share it.
    if (!tokens.includes(1)) return;
    remember(this.#decode, 1, ms);
    remember(this.#batch, tokens.filter((count) => count === 1).length, 1);
  }

  /** Mean number of sessions that got a token in one turn; null until measured. */
  get decodeBatch(): number | null {
    return this.#batch.ms > 0 ? this.#batch.tokens / this.#batch.ms : null;
  }

  get rates(): Rates {
    return { prefill: perSecond(this.#prefill), decode: perSecond(this.#decode) };
  }
}

function remember(sum: { tokens: number; ms: number }, tokens: number, ms: number): void {
  sum.tokens = sum.tokens * MEMORY + tokens;
  sum.ms = sum.ms * MEMORY + ms;
}

const perSecond = ({ tokens, ms }: { tokens: number; ms: number }): number | null =>
  ms > 0 ? Math.round((tokens / ms) * 10_000) / 10 : null;
