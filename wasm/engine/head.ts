import type { Manifest } from '../../models/pack/manifest.ts';
import type { Arena } from './arena.ts';
import { answerSlice, mergeHeadAnswers, mergeSliceAnswers } from './head-answer.ts';
import type { Kernel } from './kernel.ts';
import { MAX_ROWS, type Scratch } from './scratch.ts';
import type { HeadAnswer, HeadQuery, SliceAnswer } from './stage.ts';
import type { Weights } from './weights.ts';

export interface HeadParts {
  manifest: Manifest;
  arena: Arena;
  kernel: Kernel;
  weights: Weights;
  scratch: Scratch;
}

/** A question about one position: its hidden state [H] after the last layer. */
export interface Asked {
  hidden: Float32Array;
  query: HeadQuery;
}

/** Called after so many rows of the head; may let other events in. */
type Pause = (rows: number) => Promise<void>;

/** Rows of the head, computed a few thousand at a time in the stage's scratch memory. */
export class Head {
  readonly #parts: HeadParts;
  /** Pieces that are computed at once. */
  readonly #pieces: { first: number; count: number }[];

  /** @param range rows of the head held */
  constructor(parts: HeadParts, range: { first: number; last: number }) {
    this.#parts = parts;
    const { manifest, scratch } = parts;
    const table = manifest.tensors[manifest.config.tiedHead ? 'embed' : 'head']!;
    this.#pieces = table.parts.flatMap(({ row, rows }) =>
      cutEvenly(Math.max(row, range.first), Math.min(row + rows, range.last), scratch.headRows),
    );
  }

  /** One answer for each question. */
  async answers(asked: Asked[], pause: Pause): Promise<HeadAnswer[]> {
    const pieces = await this.#ask(asked, pause);
    return pieces.map((parts, i) => mergeHeadAnswers(parts, asked[i]!.query.candidates));
  }

  /** The same for a slice of the vocabulary: what else is needed so that slices put together say what one head would, to the bit. */
  async sliceAnswers(asked: Asked[], pause: Pause): Promise<SliceAnswer[]> {
    const pieces = await this.#ask(asked, pause);
    return pieces.map((parts, i) => mergeSliceAnswers(parts, asked[i]!.query.candidates));
  }

  /** All raw logits of each position, those of padding rows included. */
  async logits(hidden: Float32Array[], pause: Pause): Promise<Float32Array[]> {
    const first = this.#pieces[0]!.first;
    const { first: end, count: rows } = this.#pieces.at(-1)!;
    const logits = hidden.map(() => new Float32Array(end + rows - first));
    for (let start = 0; start < hidden.length; start += MAX_ROWS) {
      const visit = (row: number, at: number, from: number, count: number) =>
        logits[start + row]!.set(new Float32Array(this.#parts.arena.memory.buffer, at, count), from - first);
      await this.#eachPiece(hidden.slice(start, start + MAX_ROWS), visit, pause);
    }
    return logits;
  }

  /** What each piece of the head answers to each question. */
  async #ask(asked: Asked[], pause: Pause): Promise<HeadAnswer[][]> {
    const { kernel, arena, manifest, scratch } = this.#parts;
    const { indices, values } = scratch;
    const answers: HeadAnswer[][] = asked.map(() => []);
    for (let start = 0; start < asked.length; start += MAX_ROWS) {
      const visit = (row: number, at: number, first: number, rows: number) => {
        // Padding rows come last; they are no tokens.
        const count = Math.min(rows, manifest.tokenCount - first);
        if (count <= 0) return;
        const slice = { kernel, memory: arena.memory, at, first, count, indices, values };
        answers[start + row]!.push(answerSlice(slice, asked[start + row]!.query));
      };
      const some = asked.slice(start, start + MAX_ROWS).map(({ hidden }) => hidden);
      await this.#eachPiece(some, visit, pause);
    }
    return answers;
  }

  /** Calls `visit` for each piece of the head with the address of each row's logits of it. */
  async #eachPiece(
    hidden: Float32Array[],
    visit: (row: number, at: number, first: number, count: number) => void,
    pause: Pause,
  ): Promise<void> {
    const { kernel, arena, scratch, weights } = this.#parts;
    for (const [i, row] of hidden.entries()) new Float32Array(arena.memory.buffer, scratch.x + i * row.byteLength, row.length).set(row);
    kernel.finalNorm(scratch.model, weights.finalNorm, hidden.length);
    for (const { first, count } of this.#pieces) {
      kernel.productRows(weights.head, first, count, scratch.logits, scratch.headRows);
      for (let row = 0; row < hidden.length; row++) visit(row, scratch.logits + row * scratch.headRows * 4, first, count);
      await pause(hidden.length * count);
    }
  }
}

/** Rows that the fastest kernel takes at once. */
const ROWS = 32;

/**
 * Pieces of at most `most` rows of `first` to `last - 1`. No piece crosses a border between two files of the pack: so a vocabulary that is cut there into slices
 * has the same pieces, and with them the same sums, as a whole one.
 */
function cutEvenly(first: number, last: number, most: number): { first: number; count: number }[] {
  const rows = last - first;
  if (rows <= 0) return [];
  const count = Math.min(most, Math.ceil(rows / Math.ceil(rows / most) / ROWS) * ROWS);
  return Array.from({ length: Math.ceil(rows / count) }, (_, i) => ({
    first: first + i * count,
    count: Math.min(count, rows - i * count),
  }));
}
