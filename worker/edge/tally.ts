import type { Outcome } from '../routing/figures.ts';
import type { EdgeEvent } from './protocol.ts';

type Start = Extract<EdgeEvent, { type: 'start' }>;
type Finish = Extract<EdgeEvent, { type: 'finish' }>;

/** How an answer of the edge went, as far as it went. Times are milliseconds from the call. */
export interface EdgeAnswered {
  ttftMs: number | null;
  totalMs: number;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  end: Outcome['end'];
  /** It neither waited for its turn nor for the model to load. */
  undisturbed: boolean;
}

/** A wait as short as that is none, milliseconds. */
const noWait = 10;

/** Counts along with an answer, and tells once what came of it. */
export class EdgeTally {
  readonly #startedAt = Date.now();
  readonly #tell: (answered: EdgeAnswered) => void;
  #start: Start | null = null;
  #finish: Finish | null = null;
  #firstAt: number | null = null;
  #tokens = 0;
  #told = false;

  constructor(tell: (answered: EdgeAnswered) => void) {
    this.#tell = tell;
  }

  see(event: EdgeEvent): void {
    if (event.type === 'start') this.#start = event;
    if (event.type === 'finish') this.#finish = event;
    if (event.type !== 'delta') return;
    this.#firstAt ??= Date.now();
    this.#tokens = event.tokens;
  }

  /** There will be no more. @param end how it ended if not by a finish; null to say nothing */
  close(end: Outcome['end'] | null): void {
    if (this.#told) return;
    this.#told = true;
    if (!this.#start || end === null) return;
    const { promptTokens, cachedTokens, queueMs, cold } = this.#start;
    this.#tell({
      ttftMs: this.#firstAt === null ? null : this.#firstAt - this.#startedAt,
      totalMs: Date.now() - this.#startedAt,
      promptTokens,
      cachedTokens,
      completionTokens: this.#finish?.completionTokens ?? this.#tokens,
      end: this.#finish && end !== 'escalated' ? this.#finish.reason : end,
      undisturbed: queueMs <= noWait && !cold,
    });
  }
}
