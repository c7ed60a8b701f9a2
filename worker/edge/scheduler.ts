import type { HeadAnswer, HeadQuery, Stage, StageMemory, StageSpec, StepEntry, StepResult } from '../../wasm/engine/stage.ts';
import { StageError } from '../../wasm/engine/stage.ts';
import { RateMeter, type Rates } from './rates.ts';
import { type PlannedStep, planTurn, TURN_ROWS } from './turn-plan.ts';
import { cut, isAnswer, type Piece, rowsLeft, type Waiting } from './waiting-step.ts';

export interface SchedulerOptions {
  /** Milliseconds; only differences between two turns are used. */
  now: () => number;
  /** Lets the event loop turn once. */
  yieldNow: () => Promise<void>;
  /** Names a session to close because memory ran out, or null when there is none: the engine then fails for want of memory. */
  reclaim?: () => string | null;
  /**
   * Turns on their way at the same time, of different sessions: for a pipeline, whose stages then all have something to do. The stage must take such calls, and all
   * others while a step runs. Default 1.
   */
  turns?: number;
  /** How many of these may be answers' next tokens: fewer share the reading of weights, more keep more stages busy. Default: all. */
  answerTurns?: number;
}

/**
 * Shares one stage between sessions. It is itself a Stage whose `step` waits for its turns: a turn is one batch of every answer's next token and of a bounded
 * number of prompt tokens (turn-plan.ts), so that a long prompt stalls nobody. One loop owns the stage: nothing else (more candidates, opening, forking,
 * closing) touches it while a turn runs. With several turns at once, those waiting are spread over them.
 */
export class StepScheduler implements Stage {
  readonly spec: StageSpec;
  readonly #stage: Stage;
  readonly #options: SchedulerOptions;
  readonly #meter = new RateMeter();
  readonly #tasks: (() => Promise<void>)[] = [];
  #waiting: Waiting[] = [];
  /** Answers whose next token is being computed, and turns that have such, where several turns overlap. */
  #answersRunning = 0;
  #answerTurnsRunning = 0;
  #looping = false;
  /** Sessions that have got a result and will soon ask for more. */
  readonly #expected = new Set<string>();
  /** Tells the loop, where it waits for them, that someone has called. */
  #called: () => void = () => {};

  constructor(stage: Stage, options: SchedulerOptions) {
    this.#stage = stage;
    this.#options = options;
    this.spec = stage.spec;
  }

  get rates(): Rates {
    return this.#meter.rates;
  }

  /** Sessions that share the turns in which `rates.decode` is measured, on average; null until measured. */
  get decodeBatch(): number | null {
    return this.#meter.decodeBatch;
  }

  /**
   * Runs in the next turns. When `signal` aborts, a step that waits is withdrawn at once; a turn that runs for aborted steps only is cut off at the stage's
   * next yield, and one that others share ends first.
   * @throws the signal's reason, or what the stage throws for these entries; the session must be closed then
   */
  step(batch: StepEntry[], signal?: AbortSignal): Promise<StepResult[]> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const withdraw = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal?.reason);
      };
      const waiting: Waiting = { batch, done: 0, signal, withdraw, resolve, reject };
      this.#waiting.push(waiting);
      signal?.addEventListener('abort', withdraw, { once: true });
      for (const { session } of batch) this.#expected.delete(session);
      this.#wake();
    });
  }

  open(session: string): Promise<void> {
    return this.#between(() => this.#withReclaim(() => this.#stage.open(session)));
  }

  fork(session: string, as: string, tokens?: number): Promise<void> {
    // Whoever drafts tokens goes on in a copy.
    if (this.#expected.delete(session)) this.#expected.add(as);
    return this.#between(() => this.#withReclaim(() => this.#stage.fork(session, as, tokens)));
  }

  reserve(wanted: { session: string; tokens: number }[]): Promise<void> {
    return this.#between(() => this.#withReclaim(() => this.#stage.reserve(wanted)));
  }

  close(session: string): Promise<void> {
    this.#expected.delete(session);
    return this.#between(() => this.#stage.close(session));
  }

  head(session: string, query: HeadQuery): Promise<HeadAnswer> {
    return this.#between(() => this.#stage.head(session, query));
  }

  snapshot(session: string): Promise<Uint8Array> {
    return this.#between(() => this.#stage.snapshot(session));
  }

  restore(session: string, snapshot: Uint8Array): Promise<void> {
    return this.#between(() => this.#withReclaim(() => this.#stage.restore(session, snapshot)));
  }

  /** Not queued, nor is `memory`: counting reads no state that a step changes halfway. */
  bytesOf(sessions: string[]): Promise<number> {
    return this.#stage.bytesOf(sessions);
  }

  memory(): Promise<StageMemory> {
    return this.#stage.memory();
  }

  /** Runs `task` when no turn runs, before the next one; at once, where several turns run anyway. */
  #between<T>(task: () => Promise<T>): Promise<T> {
    if (this.#turns > 1) return task();
    return new Promise((resolve, reject) => {
      this.#tasks.push(() => task().then(resolve, reject));
      this.#wake();
    });
  }

  /** Repeats what has failed for want of memory as long as there is something to close. */
  async #withReclaim<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const outOfMemory = error instanceof StageError && error.code === 'out_of_memory';
        const session = outOfMemory ? (this.#options.reclaim?.() ?? null) : null;
        if (session === null) throw error;
        await this.#stage.close(session);
      }
    }
  }

  #wake(): void {
    this.#called();
    if (this.#looping) return;
    this.#looping = true;
    void this.#loop();
  }

  get #turns(): number {
    return this.#options.turns ?? 1;
  }

  async #loop(): Promise<void> {
    // Someone may call between its last look and its return.
    do await (this.#turns > 1 ? this.#overlap() : this.#oneByOne());
    while (this.#tasks.length > 0 || this.#waiting.length > 0);
    this.#looping = false;
  }

  /** Starts turns as long as there is room for one and someone waits. Sessions that have just got a result are given the time to ask for more. */
  async #overlap(): Promise<void> {
    const flights = new Set<Promise<void>>();
    while (this.#waiting.length > 0 || flights.size > 0) {
      const turn = flights.size < this.#turns ? this.#nextTurn() : [];
      if (turn.length > 0) {
        const answers = turn.filter(({ waiting }) => isAnswer(waiting)).length;
        this.#answersRunning += answers;
        this.#answerTurnsRunning += Math.min(1, answers);
        const flight: Promise<void> = this.#timed(turn).finally(() => {
          this.#answersRunning -= answers;
          this.#answerTurnsRunning -= Math.min(1, answers);
          flights.delete(flight);
        });
        flights.add(flight);
        continue;
      }
      const called = new Promise<void>((resolve) => {
        this.#called = resolve;
      });
      await Promise.race([called, ...flights]);
      await this.#letSessionsAsk();
    }
  }

  async #timed(turn: Piece[]): Promise<void> {
    const started = this.#options.now();
    await this.#run(turn);
    this.#meter.add(
      turn.flatMap(({ tokens }) => tokens),
      this.#options.now() - started,
    );
  }

  async #oneByOne(): Promise<void> {
    while (this.#tasks.length > 0 || this.#waiting.length > 0) {
      await this.#runTasks();
      const turn = this.#nextTurn();
      const started = this.#options.now();
      if (turn.length > 0) await this.#run(turn);
      // Whoever was opened just now asks for its first turn in a moment.
      if (turn.length === 0) await this.#options.yieldNow();
      await this.#letSessionsAsk();
      this.#meter.add(
        turn.flatMap(({ tokens }) => tokens),
        this.#options.now() - started,
      );
    }
  }

  async #runTasks(): Promise<void> {
    for (let task = this.#tasks.shift(); task; task = this.#tasks.shift()) await task();
  }

  #nextTurn(): Piece[] {
    const steps = this.#waiting.map((waiting) => ({ rows: rowsLeft(waiting), answer: isAnswer(waiting) }));
    const shares = this.#turns > 1 ? this.#share(steps) : planTurn(steps);
    const turn = this.#waiting.flatMap((waiting, i) => (shares[i]! > 0 ? [cut(waiting, shares[i]!)] : []));
    this.#waiting = this.#waiting.filter((_, i) => shares[i] === 0);
    for (const { waiting } of turn) waiting.signal?.removeEventListener('abort', waiting.withdraw);
    return turn;
  }

  /** Of several turns: each takes its part of the answers, and a prompt that is alone as many rows as keep all stages busy. */
  #share(steps: PlannedStep[]): number[] {
    const answers = steps.filter(({ answer }) => answer).length + this.#answersRunning;
    const answerTurns = this.#options.answerTurns ?? this.#turns;
    let places = this.#answerTurnsRunning < answerTurns ? Math.ceil(answers / answerTurns) : 0;
    const left = steps.map((step) => !step.answer || places-- > 0);
    const shares = planTurn(
      steps.filter((_, i) => left[i]),
      answers === 0 ? TURN_ROWS * this.#turns : TURN_ROWS,
    );
    return left.map((taken) => (taken ? shares.shift()! : 0));
  }

  /**
   * Waits until every session that has got a result asks for its next token, and so shares the next turn; at the latest when the event loop has turned. Most ask
   * without that, and in workerd it costs a millisecond: the stage itself lets other events in, in proportion to its work.
   */
  async #letSessionsAsk(): Promise<void> {
    if (this.#expected.size === 0) return;
    let turned = false;
    const turn = this.#options.yieldNow().then(() => {
      turned = true;
    });
    while (!turned && this.#expected.size > 0) {
      const called = new Promise<void>((resolve) => {
        this.#called = resolve;
      });
      await Promise.race([turn, called]);
      // It may want more candidates before it can ask.
      await this.#runTasks();
    }
    this.#expected.clear();
  }

  async #run(turn: Piece[]): Promise<void> {
    const cutOff = new AbortController();
    const cutOffWhenAlone = () => {
      if (turn.every(({ waiting }) => waiting.signal?.aborted)) cutOff.abort(new Error('Every session of this turn was aborted.'));
    };
    for (const { waiting } of turn) waiting.signal?.addEventListener('abort', cutOffWhenAlone);
    cutOffWhenAlone();
    try {
      const batch = turn.flatMap((piece) => piece.batch);
      const step = () => this.#stage.step(batch, cutOff.signal);
      const results = await (turn.length === 1 ? this.#withReclaim(step) : step());
      // Back to front, so that unfinished ones are first in the queue again, in their order.
      for (const piece of [...turn].reverse()) this.#settle(piece, results.splice(-piece.batch.length));
    } catch (error) {
      // A StageError means that nothing has changed, and one entry is to blame: the others are run without it.
      if (error instanceof StageError && turn.length > 1) for (const piece of turn) await this.#run([piece]);
      else for (const { waiting } of turn) waiting.reject(waiting.signal?.aborted ? waiting.signal.reason : error);
    } finally {
      for (const { waiting } of turn) waiting.signal?.removeEventListener('abort', cutOffWhenAlone);
    }
  }

  #settle({ waiting, tokens, last }: Piece, results: StepResult[]): void {
    const { signal, batch } = waiting;
    if (signal?.aborted) waiting.reject(signal.reason);
    else if (last) {
      for (const { session } of batch) this.#expected.add(session);
      waiting.resolve(results);
    } else {
      waiting.done += tokens[0]!;
      signal?.addEventListener('abort', waiting.withdraw, { once: true });
      this.#waiting.unshift(waiting);
    }
  }
}
