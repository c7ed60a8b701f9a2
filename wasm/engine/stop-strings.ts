/**
 * Finds stop strings in text that arrives in pieces. Text that could still turn out to be the beginning of a stop string is held back, so that what was
 * given out never contains part of one.
 */
export class StopStrings {
  readonly #stops: string[];
  #held = '';

  /** Empty strings are ignored. */
  constructor(stops: string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Text that is safe to give out; `stopped` when a stop string was met, which ends the text right before it. */
  push(text: string): { text: string; stopped: boolean } {
    const seen = this.#held + text;
    const found = Math.min(...this.#stops.map((stop) => seen.indexOf(stop)).filter((index) => index >= 0));
    if (Number.isFinite(found)) {
      this.#held = '';
      return { text: seen.slice(0, found), stopped: true };
    }
    const safe = seen.length - Math.max(0, ...this.#stops.map((stop) => overlap(seen, stop)));
    this.#held = seen.slice(safe);
    return { text: seen.slice(0, safe), stopped: false };
  }

  /** What was held back, when no more text will come. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }
}

/** Length of the longest end of `text` that begins `stop` without being all of it. */
function overlap(text: string, stop: string): number {
  let length = Math.min(text.length, stop.length - 1);
  while (length > 0 && !text.endsWith(stop.slice(0, length))) length -= 1;
  return length;
}
