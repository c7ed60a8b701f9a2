import type { ModelConfig } from '../../models/config.ts';
import { MAX_ROWS } from './scratch.ts';
import type { Session, Sessions } from './sessions.ts';
import { StageError, type StageSpec, type StepEntry } from './stage.ts';

/** An entry of a batch that may run. */
export interface Admitted {
  session: Session;
  tokens: number;
  entry: StepEntry;
}

/** One position to compute. */
export interface Row {
  session: Session;
  position: number;
  /** Index of the entry, and of the token in it. */
  entry: number;
  token: number;
  /** The token, where the stage embeds. */
  id: number;
  /** Its hidden state [H], where the stage does not. */
  hidden: Float32Array | null;
}

/** Checks everything about a batch that can be wrong. Throws `StageError`; nothing has changed then. */
export function checkBatch(batch: StepEntry[], config: ModelConfig, spec: StageSpec, sessions: Sessions): Admitted[] {
  const seen = new Set<string>();
  return batch.map((entry) => {
    const session = sessions.get(entry.session);
    if (seen.has(entry.session)) throw new StageError('bad_input', `Session ${entry.session} appears twice in one batch.`);
    seen.add(entry.session);
    const tokens = countTokens(entry, config, spec);
    if (entry.position !== session.position) {
      throw new StageError(
        'wrong_position',
        `Session ${session.id} has seen ${session.position} tokens, so it cannot go on at ${entry.position}.`,
      );
    }
    const { contextLength } = sessions.layout;
    if (session.position + tokens > contextLength) {
      const total = session.position + tokens;
      throw new StageError('context_limit', `Session ${session.id} would have ${total} tokens; the context holds ${contextLength}.`);
    }
    if (entry.heads && (entry.head || entry.heads.length > tokens))
      throw new StageError('bad_input', `${entry.heads.length} queries about ${tokens} positions: there may be one for each.`);
    if ((entry.head || entry.heads) && !spec.head)
      throw new StageError('bad_input', 'This stage has no head, so it cannot be asked about logits.');
    return { session, tokens, entry };
  });
}

function countTokens({ ids, hidden }: StepEntry, { hiddenSize, vocabSize }: ModelConfig, { embed }: StageSpec): number {
  const refuse = (message: string) => new StageError('bad_input', message);
  if ((ids === undefined) === (hidden === undefined)) throw refuse('An entry of a batch takes either token ids or hidden states.');
  if (ids) {
    if (!embed) throw refuse('This stage has no token table; it takes hidden states.');
    const stray = ids.find((id) => !Number.isInteger(id) || id < embed.first || id >= embed.last);
    const held = embed.first === 0 && embed.last === vocabSize ? 'The vocabulary' : "The stage's slice of the vocabulary";
    if (stray !== undefined) throw refuse(`${held} goes from ${embed.first} to ${embed.last - 1}; ${stray} is not in it.`);
    if (ids.length === 0) throw refuse('An entry of a batch needs at least one token.');
    return ids.length;
  }
  if (embed) throw refuse('This stage has the token table; it takes token ids.');
  const length = hidden?.length ?? 0;
  if (length === 0 || length % hiddenSize) throw refuse(`Hidden states have ${hiddenSize} numbers for each token; ${length} were given.`);
  return length / hiddenSize;
}

/** All positions of a batch, entry after entry. */
export function rowsOf(admitted: Admitted[]): Row[] {
  return admitted.flatMap(({ session, tokens, entry }, index) =>
    Array.from({ length: tokens }, (_, token) => {
      const width = (entry.hidden?.length ?? 0) / tokens;
      const hidden = entry.hidden?.subarray(token * width, (token + 1) * width) ?? null;
      return { session, position: session.position + token, entry: index, token, id: entry.ids?.[token] ?? -1, hidden };
    }),
  );
}

/** What the rows of a micro-batch may see together, in positions: beyond, one attention layer would hold the event loop for tens of milliseconds. */
const MAX_SEEN = 65536;

/** Consecutive rows that are computed together: at most MAX_ROWS, and fewer the further on they are. */
export function microBatches(rows: Row[]): Row[][] {
  const batches: Row[][] = [];
  let seen = 0;
  for (const row of rows) {
    const batch = batches.at(-1);
    seen += row.position + 1;
    if (batch && batch.length < MAX_ROWS && seen <= MAX_SEEN) batch.push(row);
    else {
      batches.push([row]);
      seen = row.position + 1;
    }
  }
  return batches;
}
