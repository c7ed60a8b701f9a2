import type { ModelConfig } from '../../../models/config.ts';
import type { StepEntry } from '../stage.ts';
import { StageError } from '../stage.ts';
import type { Share } from './pass.ts';
import type { Sequences } from './sequence.ts';

/** Checks everything about a batch that can be wrong, as a single stage does, and returns what goes through the stages. Throws `StageError`. */
export function admit(
  batch: StepEntry[],
  sequences: Sequences,
  { vocabSize, contextLength }: Pick<ModelConfig, 'vocabSize' | 'contextLength'>,
): Share[] {
  const refuse = (message: string) => new StageError('bad_input', message);
  const seen = new Set<string>();
  return batch.map(({ session, position, ids, hidden, head, heads }) => {
    const sequence = sequences.get(session);
    if (seen.has(session)) throw refuse(`Session ${session} appears twice in one batch.`);
    seen.add(session);
    if (!ids || hidden) throw refuse('A pipeline takes token ids.');
    if (ids.length === 0) throw refuse('An entry of a batch needs at least one token.');
    const stray = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (stray !== undefined) throw refuse(`The vocabulary goes from 0 to ${vocabSize - 1}; ${stray} is not in it.`);
    const known = sequence.tokens.length;
    if (position !== known)
      throw new StageError('wrong_position', `Session ${session} has seen ${known} tokens, so it cannot go on at ${position}.`);
    const total = known + ids.length;
    if (total > contextLength)
      throw new StageError('context_limit', `Session ${session} would have ${total} tokens; the context holds ${contextLength}.`);
    if (heads && (head || heads.length > ids.length))
      throw refuse(`${heads.length} queries about ${ids.length} positions: there may be one for each.`);
    return { sequence, position, ids, queries: heads ?? (head ? [head] : []) };
  });
}
