/**
 * Lets a share of the traffic do something extra: every request deposits a part of a token, every extra takes a whole one. An outage, in which everything would
 * be retried, then multiplies the load by 1 + `share` at most, while a single mishap is always affordable.
 */
export class Budget {
  readonly #share: number;
  readonly #most: number;
  #tokens: number;

  /**
   * @param share extras per request in the long run, for instance 0.1
   * @param most tokens that can be saved up, and the number there is at the start
   */
  constructor(share: number, most: number) {
    this.#share = share;
    this.#most = most;
    this.#tokens = most;
  }

  /** To be called once per request. */
  deposit(): void {
    this.#tokens = Math.min(this.#most, this.#tokens + this.#share);
  }

  /** Whether one extra is affordable; takes it if so. */
  take(): boolean {
    // Ten deposits of a tenth make a little less than one.
    if (this.#tokens < 1 - 1e-9) return false;
    this.#tokens -= 1;
    return true;
  }
}
