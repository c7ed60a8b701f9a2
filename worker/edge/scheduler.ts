import type { HeadAnswer, HeadQuery, Stage, StageMemory, StageSpec, StepEntry, StepResult } from '../../wasm/engine/stage.ts';
import { StageError } from '../../wasm/engine/stage.ts';
import { RateMeter, type Rates } from './rates.ts';

/** One call of `step` that waits for its turn, or has it. */
interface Waiting {
  batch: StepEntry[];
  signal: AbortSignal | undefined;
  /** Takes it out of the queue; listens to the signal's abort while it waits. */
  withdraw: () => void;
  resolve: (results: StepResult[]) => void;
  reject: (reason: unknown) => void;
}

export interface SchedulerOptions {
  /** Milliseconds; only differences between two yields to the event loop are used. */
  now: () => number;
  /** Lets the event loop turn once. */
  yieldNow: () => Promise<void>;
}

/**
 * Shares one stage between sessions. It is itself a Stage whose `step` waits for the next turn: a turn is one batch of every waiting decode step and at
 * most one prefill chunk, so that a long prompt delays the others by one chunk at a time, and several prompts take chunks in turn. One loop owns the
 * stage: nothing else (more candidates, opening, closing) touches it while a turn runs.
 */
export class StepScheduler implements Stage {
  readonly spec: StageSpec;
  readonly #stage: Stage;
  readonly #options: SchedulerOptions;
  readonly #meter = new RateMeter();
  readonly #tasks: (() => Promise<void>)[] = [];
  #waiting: Waiting[] = [];
  #looping = false;

  constructor(stage: Stage, options: SchedulerOptions) {
    this.#stage = stage;
    this.#options = options;
    this.spec = stage.spec;
  }

  get rates(): Rates {
    return this.#meter.rates;
  }

  /**
   * Runs in one of the next turns. When `signal` aborts, a step that waits is withdrawn at once; a turn that runs for aborted steps only is cut off at the
   * stage's next yield, and one that others share ends first.
   * @throws the signal's reason, or what the stage throws for these entries
   */
  step(batch: StepEntry[], signal?: AbortSignal): Promise<StepResult[]> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const withdraw = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal?.reason);
      };
      const waiting: Waiting = { batch, signal, withdraw, resolve, reject };
      signal?.addEventListener('abort', withdraw, { once: true });
      this.#waiting.push(waiting);
      this.#wake();
    });
  }

  open(session: string): Promise<void> {
    return this.#between(() => this.#stage.open(session));
  }

  fork(session: string, as: string, tokens?: number): Promise<void> {
    return this.#between(() => this.#stage.fork(session, as, tokens));
  }

  close(session: string): Promise<void> {
    return this.#between(() => this.#stage.close(session));
  }

  head(session: string, query: HeadQuery): Promise<HeadAnswer> {
    return this.#between(() => this.#stage.head(session, query));
  }

  snapshot(session: string): Promise<Uint8Array> {
    return this.#between(() => this.#stage.snapshot(session));
  }

  restore(session: string, snapshot: Uint8Array): Promise<void> {
    return this.#between(() => this.#stage.restore(session, snapshot));
  }

  bytesOf(sessions: string[]): Promise<number> {
    return this.#stage.bytesOf(sessions);
  }

  /** Not queued: counting memory reads no state that a step changes halfway. */
  memory(): Promise<StageMemory> {
    return this.#stage.memory();
  }

  /** Runs `task` when no turn runs, before the next one. */
  #between<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#tasks.push(() => task().then(resolve, reject));
      this.#wake();
    });
  }

  #wake(): void {
    if (this.#looping) return;
    this.#looping = true;
    void this.#loop();
  }

  async #loop(): Promise<void> {
    while (this.#tasks.length > 0 || this.#waiting.length > 0) {
      for (let task = this.#tasks.shift(); task; task = this.#tasks.shift()) await task();
      const turn = this.#nextTurn();
      const started = this.#options.now();
      if (turn.length > 0) await this.#run(turn);
      // Sessions that just got a token ask for their next one here, and so share the next turn.
      await this.#options.yieldNow();
      this.#meter.add(turn.flatMap(({ batch }) => batch).map(tokensOf), this.#options.now() - started);
    }
    this.#looping = false;
  }

  #nextTurn(): Waiting[] {
    const prefill = this.#waiting.find(isPrefill);
    const turn = this.#waiting.filter((waiting) => waiting === prefill || !isPrefill(waiting));
    this.#waiting = this.#waiting.filter((waiting) => !turn.includes(waiting));
    for (const { signal, withdraw } of turn) signal?.removeEventListener('abort', withdraw);
    return turn;
  }

  async #run(turn: Waiting[]): Promise<void> {
    const cutOff = new AbortController();
    const cutOffWhenAlone = () => {
      if (turn.every(({ signal }) => signal?.aborted)) cutOff.abort(new Error('Every session of this turn was aborted.'));
    };
    for (const { signal } of turn) signal?.addEventListener('abort', cutOffWhenAlone);
    cutOffWhenAlone();
    try {
      const results = await this.#stage.step(
        turn.flatMap(({ batch }) => batch),
        cutOff.signal,
      );
      for (const { batch, signal, resolve, reject } of turn) {
        const own = results.splice(0, batch.length);
        if (signal?.aborted) reject(signal.reason);
        else resolve(own);
      }
    } catch (error) {
      // A StageError means that nothing has changed, and one entry is to blame: the others are run without it.
      if (error instanceof StageError && turn.length > 1) for (const waiting of turn) await this.#run([waiting]);
      else for (const { signal, reject } of turn) reject(signal?.aborted ? signal.reason : error);
    } finally {
      for (const { signal } of turn) signal?.removeEventListener('abort', cutOffWhenAlone);
    }
  }
}

const tokensOf = ({ ids, hidden }: StepEntry): number => ids?.length ?? (hidden ? 1 : 0);

const isPrefill = ({ batch }: Waiting): boolean => batch.some((entry) => tokensOf(entry) > 1);
