import { mergeSlices } from '../head-answer.ts';
import type { HeadAnswer, HeadQuery } from '../stage.ts';
import type { Members } from './members.ts';
import type { Sequence } from './sequence.ts';

/** A question about one position of a session: its hidden state [H] after the last layer. */
export interface Question {
  sequence: Sequence;
  hidden: Float32Array;
  query: HeadQuery;
}

/** Repeats what a lost slice has made fail, until an abort. */
type Retry = <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** The token table and the head, spread over slices. They hold no state of sessions, so whatever fails there is asked again. */
export class Vocabulary {
  readonly #members: Members;
  readonly #width: number;
  readonly #retry: Retry;

  constructor(members: Members, width: number, retry: Retry) {
    this.#members = members;
    this.#width = width;
    this.#retry = retry;
  }

  /** Rows of the token table [ids, H]: from the session's last answer where they came with it, else from the slices that hold them. */
  async embed(sequence: Sequence, ids: number[], signal?: AbortSignal): Promise<Float32Array> {
    const width = this.#width;
    const only = ids.length === 1 ? sequence.next.get(ids[0]!) : undefined;
    if (only) return only;
    const rows = new Float32Array(ids.length * width);
    const wanted = this.#members.slices.map((): number[] => []);
    for (const [i, id] of ids.entries()) {
      const known = sequence.next.get(id);
      if (known) rows.set(known, i * width);
      else wanted[this.#members.sliceOf(id)]!.push(i);
    }
    await Promise.all(
      wanted.map(async (places, slice) => {
        if (places.length === 0) return;
        const found = await this.#retry(() => this.#members.slices[slice]!.embed(places.map((i) => ids[i]!)), signal);
        for (const [j, i] of places.entries()) rows.set(found.subarray(j * width, (j + 1) * width), i * width);
      }),
    );
    return rows;
  }

  /** What the whole head says of each position. Sessions keep the rows that come with the answers. */
  async answer(questions: Question[], signal?: AbortSignal): Promise<HeadAnswer[]> {
    const hidden = new Float32Array(questions.length * this.#width);
    for (const [i, question] of questions.entries()) hidden.set(question.hidden, i * this.#width);
    const queries = questions.map(({ query }) => query);
    const slices = await Promise.all(this.#members.slices.map((peer) => this.#retry(() => peer.answer(hidden, queries), signal)));
    for (const { sequence } of questions) sequence.next = new Map();
    return questions.map(({ sequence, query }, i) => {
      const answers = slices.map((slice) => slice[i]!);
      for (const { next } of answers) if (next) sequence.next.set(next.id, next.row);
      return mergeSlices(answers, query.candidates);
    });
  }
}
