/** Rows of a turn: what the kernels work on at once, so that the weights are read once for all of them (MAX_ROWS of wasm/engine/scratch.ts). */
export const TURN_ROWS = 32;
/** Prompt tokens of a turn that answers are waiting in: their next token comes at most so much later, and the weights are still well used. */
export const PROMPT_ROWS_BESIDE_ANSWERS = 16;
/** Prompt tokens of a turn at least, however many answers share it: a prompt must get on, too. */
const MIN_PROMPT_ROWS = 4;

/** A step that waits for its turn. */
export interface PlannedStep {
  /** Rows it has left. */
  rows: number;
  /** Part of an answer, which runs whole and at once: its next token, with drafted ones maybe. Otherwise a chunk of a prompt, which may be cut. */
  answer: boolean;
}

/**
 * How many rows each waiting step gets in the next turn; 0 for those that go on waiting.
 *
 * Every answer's next token gets its turn at once. Prompts share what is left in the order in which they wait, and whoever has got its chunk waits
 * at the end again: so a prompt is overtaken by one chunk of each other at most, and a long one delays answers and short prompts by a bounded number of rows.
 *
 * @param steps in the order they wait
 * @param turnRows prompt tokens of a turn that no answer is waiting in
 */
export function planTurn(steps: PlannedStep[], turnRows = TURN_ROWS): number[] {
  const answers = steps.reduce((sum, { rows, answer }) => sum + (answer ? rows : 0), 0);
  let left = answers === 0 ? turnRows : Math.max(MIN_PROMPT_ROWS, Math.min(PROMPT_ROWS_BESIDE_ANSWERS, TURN_ROWS - answers));
  return steps.map(({ rows, answer }) => {
    if (answer) return rows;
    const share = Math.min(rows, left);
    left -= share;
    return share;
  });
}
