import { StageError, type StepEntry } from '../stage.ts';

/** Steps of a stage that can be stopped from outside, where no signal reaches them. */
export class RunningSteps {
  readonly #running = new Map<AbortController, StepEntry[]>();
  /** Not made anew for every step. */
  #spare: AbortController | null = null;

  /** Throws what `step` throws; `StageError` `cancelled` when it was stopped. */
  async run<T>(batch: StepEntry[], step: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = this.#spare ?? new AbortController();
    this.#spare = null;
    this.#running.set(controller, batch);
    try {
      return await step(controller.signal);
    } finally {
      this.#running.delete(controller);
      if (!controller.signal.aborted) this.#spare = controller;
    }
  }

  /** Stops the steps that run for none but these sessions, at their next yield. */
  cancel(sessions: string[]): void {
    const cancelled = new Set(sessions);
    for (const [controller, batch] of this.#running)
      if (batch.every(({ session }) => cancelled.has(session)))
        controller.abort(new StageError('cancelled', 'The step was cancelled: its sessions must be closed.'));
  }
}
