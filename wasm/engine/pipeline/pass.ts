import { MAX_ROWS } from '../scratch.ts';
import type { HeadAnswer, HeadQuery } from '../stage.ts';
import type { Members } from './members.ts';
import type { Sequence } from './sequence.ts';
import type { Vocabulary } from './vocabulary.ts';

/** One session's share of a pass: tokens at consecutive positions, with one query for each of the last of them. */
export interface Share {
  sequence: Sequence;
  position: number;
  ids: number[];
  queries: HeadQuery[];
}

/** What a pass has computed of a share. */
export interface Passed {
  /** After the last layer at the last position [H]. */
  hidden: Float32Array;
  answers: HeadAnswer[];
}

/** Rows `from` to `to - 1` of a share, which go through the stages together with those of others. */
interface Piece {
  share: number;
  from: number;
  to: number;
}

/** Most rows that go through the stages together. */
const MICRO_ROWS = MAX_ROWS;

/**
 * Takes tokens through all stages, micro-batch after micro-batch: while one is in a stage, the next is in the stage before, so that all stages work at once. Any
 * number of passes may run at the same time, as long as no session takes part in two. Throws what a stage throws, when no call is running any more; what the
 * stages then hold of these sessions is not known.
 */
export async function pass(
  shares: Share[],
  { members, vocabulary, width }: { members: Members; vocabulary: Vocabulary; width: number },
  signal?: AbortSignal,
): Promise<Passed[]> {
  const { layers } = members;
  const results: Passed[] = shares.map(() => ({ hidden: new Float32Array(), answers: [] }));
  const entrances = layers.map(() => Promise.resolve());
  const batches = microBatches(shares);
  const several = batches.length > 1;
  const ends: Promise<unknown>[] = [];
  let failed: { error: unknown } | null = null;

  const flow = async (pieces: Piece[], index: number): Promise<void> => {
    // Every stage sees micro-batches in their order: each waits for the one before to have been sent. Taken now, before anything is waited for.
    const places = (several ? entrances : []).map((before, stage) => {
      let leave = () => {};
      entrances[stage] = new Promise((resolve) => {
        leave = resolve;
      });
      return { before, leave };
    });
    const check = () => {
      if (failed) throw failed.error;
      signal?.throwIfAborted();
    };
    try {
      // One for each stage and one on its way: more would only wait in front of the first stage, in its memory.
      await ends[index - layers.length - 1];
      check();
      let hidden = await Promise.all(
        pieces.map(({ share, from, to }) => vocabulary.embed(shares[share]!.sequence, shares[share]!.ids.slice(from, to), signal)),
      );
      for (const [stage, peer] of layers.entries()) {
        if (several) await places[stage]!.before;
        check();
        const step = peer.step(
          pieces.map(({ share, from }, i) => {
            const { sequence, position } = shares[share]!;
            return { session: sequence.name, position: position + from, hidden: hidden[i]! };
          }),
        );
        places[stage]?.leave();
        hidden = (await step).map((result) => result.hidden!);
      }
      check();
      await finish(pieces, hidden);
    } catch (error) {
      failed ??= { error };
      throw error;
    } finally {
      for (const { leave } of places) leave();
    }
  };

  const finish = async (pieces: Piece[], hidden: Float32Array[]): Promise<void> => {
    const asked = pieces.flatMap(({ share, from, to }, i) => {
      const { ids, queries } = shares[share]!;
      if (to === ids.length) results[share]!.hidden = hidden[i]!.slice(-width);
      const first = ids.length - queries.length;
      return queries.flatMap((query, j) => {
        const row = first + j - from;
        return row < 0 || first + j >= to ? [] : [{ share, query, hidden: hidden[i]!.subarray(row * width, (row + 1) * width) }];
      });
    });
    if (asked.length === 0) return;
    const questions = asked.map(({ share, ...question }) => ({ ...question, sequence: shares[share]!.sequence }));
    const answers = await vocabulary.answer(questions, signal);
    for (const [i, { share }] of asked.entries()) results[share]!.answers.push(answers[i]!);
  };

  for (const [index, pieces] of batches.entries()) ends.push(flow(pieces, index).catch(() => {}));
  await Promise.all(ends);
  if (failed) throw (failed as { error: unknown }).error;
  return results;
}

/** Consecutive rows of all shares, at most MICRO_ROWS at a time. */
function microBatches(shares: Share[]): Piece[][] {
  const batches: Piece[][] = [];
  let room = 0;
  for (const [share, { ids }] of shares.entries()) {
    for (let from = 0; from < ids.length; ) {
      if (room === 0) {
        batches.push([]);
        room = MICRO_ROWS;
      }
      const to = Math.min(ids.length, from + room);
      batches.at(-1)!.push({ share, from, to });
      room -= to - from;
      from = to;
    }
  }
  return batches;
}
