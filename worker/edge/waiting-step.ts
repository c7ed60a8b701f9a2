import type { StepEntry, StepResult } from '../../wasm/engine/stage.ts';

/** One call of `step` that waits for its turn, or has it. */
export interface Waiting {
  batch: StepEntry[];
  /** Tokens of its one entry that have run in earlier turns. */
  done: number;
  signal: AbortSignal | undefined;
  /** Takes it out of the queue; listens to the signal's abort while it waits. */
  withdraw: () => void;
  resolve: (results: StepResult[]) => void;
  reject: (reason: unknown) => void;
}

/** What of a waiting step runs in a turn. */
export interface Piece {
  waiting: Waiting;
  batch: StepEntry[];
  tokens: number[];
  last: boolean;
}

const tokensOf = ({ ids, hidden }: StepEntry): number => ids?.length ?? (hidden ? 1 : 0);

/** Only a chunk of a prompt can be cut: tokens of one sequence, with a question about the last of them at most. */
const canBeCut = ({ batch }: Waiting): boolean => batch.length === 1 && batch[0]!.ids !== undefined && batch[0]!.heads === undefined;

/** It brings an answer on: a token that nothing can be cut off of, or drafted ones. */
export const isAnswer = (waiting: Waiting): boolean => !canBeCut(waiting) || rowsLeft(waiting) === 1;

/** Tokens that are still to run; at least 1. */
export const rowsLeft = (waiting: Waiting): number =>
  Math.max(1, waiting.batch.reduce((sum, entry) => sum + tokensOf(entry), 0) - waiting.done);

/** The next so many tokens of it, or all of it where it cannot be cut. */
export function cut(waiting: Waiting, rows: number): Piece {
  const { batch, done } = waiting;
  if (!canBeCut(waiting) || (done === 0 && rows >= rowsLeft(waiting))) {
    // Drafts may turn out wrong: one token is sure.
    return { waiting, batch, tokens: batch.map((entry) => (entry.heads ? 1 : tokensOf(entry))), last: true };
  }
  const { session, position, ids, head } = batch[0]!;
  const last = rows >= rowsLeft(waiting);
  const piece = { session, position: position + done, ids: ids!.slice(done, done + rows), head: last ? head : undefined };
  return { waiting, batch: [piece], tokens: [rows], last };
}
