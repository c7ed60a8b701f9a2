import type { PipelineMember, StepEntry, StepResult } from '../stage.ts';
import { RunningSteps } from './running-steps.ts';

/** A stage, or what it held, is gone: evicted, restarted, redeployed, cut off. Trying again may help. */
export class StageLostError extends Error {
  override readonly name = 'StageLostError';
}

/** The way to a member of a pipeline. Any of its methods may throw `StageLostError` at any time, and whether the call was carried out is then not known. */
export interface Peer extends PipelineMember {
  /** What `connect` would answer at once; null where it has something to do. */
  readonly epoch: string | null;
  /**
   * Which instance of the stage answers; connects to it, and loads it, where that is needed. Another answer than before means that the sessions it held are gone.
   * Throws `StageLostError`, or another Error when trying again would not help: an instance of another model, plan or version.
   * @param known names the sessions that are still wanted, when it comes to connecting: the stage frees what else was left over
   */
  connect(known: () => string[]): Promise<string>;
  /** As a stage's, but stopped by `cancel`: a signal would have to travel with every call. */
  step(batch: StepEntry[]): Promise<StepResult[]>;
  /** Stops the steps that run for none but these sessions, within a few milliseconds; they throw `StageError` `cancelled`, and the sessions must be closed. */
  cancel(sessions: string[]): Promise<void>;
}

/** A stage of this process, which is never lost. */
export function localPeer(member: PipelineMember): Peer {
  const steps = new RunningSteps();
  return {
    spec: member.spec,
    epoch: 'local',
    connect: async () => 'local',
    open: (session) => member.open(session),
    fork: (session, as, tokens) => member.fork(session, as, tokens),
    bytesOf: (sessions) => member.bytesOf(sessions),
    close: (session) => member.close(session),
    step: (batch) => steps.run(batch, (signal) => member.step(batch, signal)),
    cancel: async (sessions) => steps.cancel(sessions),
    snapshot: (session) => member.snapshot(session),
    restore: (session, snapshot) => member.restore(session, snapshot),
    memory: () => member.memory(),
    reserve: (wanted) => member.reserve(wanted),
    embed: (ids) => member.embed(ids),
    answer: (hidden, queries) => member.answer(hidden, queries),
  };
}
