import { fnv1aOf } from '../../models/fnv1a.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import type { Arena } from './arena.ts';
import { checkBatch, microBatches, type Row, rowsOf } from './batch.ts';
import { Head } from './head.ts';
import { likelyNext } from './head-answer.ts';
import type { Kernel, KernelTeam } from './kernel.ts';
import { type Observe, observer } from './observe.ts';
import { ropeTable } from './rope.ts';
import { writeRows } from './rows.ts';
import { MAX_ROWS, type Scratch } from './scratch.ts';
import type { Sessions } from './sessions.ts';
import { applySnapshot, takeSnapshot } from './snapshot.ts';
import type {
  HeadAnswer,
  HeadQuery,
  PipelineMember,
  SessionRoom,
  SliceAnswer,
  Stage,
  StageMemory,
  StageSpec,
  StepEntry,
  StepResult,
} from './stage.ts';
import { StageError } from './stage.ts';
import type { Weights } from './weights.ts';
import { type Work, workOf } from './work.ts';
import type { YieldNow } from './yield-now.ts';

export interface StageParts {
  manifest: Manifest;
  spec: StageSpec;
  arena: Arena;
  kernel: Kernel;
  sessions: Sessions;
  weights: Weights;
  scratch: Scratch;
  yieldNow: YieldNow;
  observe?: Observe;
  team?: KernelTeam;
}

/**
 * A stage that computes here, with the kernels. Made by `loadStage`. Calls are carried out one after the other in the order they were made, since all
 * sessions share the scratch memory; a running step yields, so calls queue up rather than block.
 */
export class LocalStage implements Stage, PipelineMember {
  readonly spec: StageSpec;
  readonly manifest: Manifest;
  readonly #parts: StageParts;
  readonly #fillRopeTable: (buffer: ArrayBuffer, positions: number[]) => void;
  readonly #work: Work;
  readonly #head: Head | null;
  readonly #room: SessionRoom;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: StageParts) {
    this.#parts = parts;
    this.spec = parts.spec;
    this.manifest = parts.manifest;
    this.#work = workOf(parts.manifest.config);
    this.#room = parts.sessions.room;
    this.#head = parts.spec.head && new Head(parts, parts.spec.head);
    this.#fillRopeTable = ropeTable(parts.manifest.config, parts.scratch);
  }

  /** Longest sequence, in tokens. */
  get contextLength(): number {
    return this.#parts.sessions.layout.contextLength;
  }

  open(session: string): Promise<void> {
    return this.#inTurn(() => void this.#parts.sessions.open(session));
  }

  fork(session: string, as: string, tokens?: number): Promise<void> {
    return this.#inTurn(() => void this.#parts.sessions.fork(session, as, tokens));
  }

  close(session: string): Promise<void> {
    return this.#inTurn(() => this.#parts.sessions.close(session));
  }

  step(batch: StepEntry[], signal?: AbortSignal): Promise<StepResult[]> {
    return this.#inTurn(async () => {
      const hidden = await this.#run(batch, signal);
      return this.#finish(batch, async () => {
        const width = this.manifest.config.hiddenSize;
        const asked = batch.flatMap(({ head, heads }, i) => {
          const queries = heads ?? (head ? [head] : []);
          const first = hidden[i]!.length - queries.length * width;
          return queries.map((query, j) => ({ hidden: hidden[i]!.subarray(first + j * width, first + (j + 1) * width), query }));
        });
        const answers = asked.length > 0 ? await this.#requireHead().answers(asked, this.#pauseHead(signal)) : [];
        return batch.map(({ head, heads }, i) => ({
          hidden: this.spec.head ? null : hidden[i]!,
          head: head ? answers.shift()! : null,
          ...(heads && { heads: answers.splice(0, heads.length) }),
        }));
      });
    });
  }

  head(session: string, query: HeadQuery): Promise<HeadAnswer> {
    return this.#inTurn(
      async () => (await this.#requireHead().answers([{ hidden: this.#lastHidden(session), query }], this.#pauseHead()))[0]!,
    );
  }

  /** All raw logits of the session's last position, those of padding rows included: [head.last - head.first]. Of this implementation only. */
  logits(session: string): Promise<Float32Array> {
    return this.#inTurn(async () => (await this.#requireHead().logits([this.#lastHidden(session)], this.#pauseHead()))[0]!);
  }

  /** Raw logits of every position of a sequence, in a session of its own. Of this implementation only. */
  forward(ids: number[]): Promise<Float32Array[]> {
    return this.#inTurn(async () => {
      this.#requireHead();
      const session = ' forward';
      this.#parts.sessions.open(session);
      try {
        const [hidden] = await this.#run([{ session, position: 0, ids }]);
        const width = this.manifest.config.hiddenSize;
        const rows = ids.map((_, i) => hidden!.subarray(i * width, (i + 1) * width));
        return await this.#requireHead().logits(rows, this.#pauseHead());
      } finally {
        this.#parts.sessions.close(session);
      }
    });
  }

  snapshot(session: string): Promise<Uint8Array> {
    return this.#inTurn(() => {
      const { sessions, arena } = this.#parts;
      return takeSnapshot(sessions.get(session), sessions, arena.memory, this.#identity());
    });
  }

  restore(session: string, snapshot: Uint8Array): Promise<void> {
    return this.#inTurn(() => {
      const { sessions, arena } = this.#parts;
      const opened = sessions.open(session);
      try {
        const hiddenBytes = this.spec.head ? this.manifest.config.hiddenSize * 4 : 0;
        applySnapshot(snapshot, opened, sessions, arena.memory, { identity: this.#identity(), hiddenBytes });
      } catch (error) {
        sessions.close(session);
        throw error;
      }
    });
  }

  reserve(wanted: { session: string; tokens: number }[]): Promise<void> {
    const { sessions } = this.#parts;
    return this.#inTurn(() =>
      sessions.reserve(
        wanted.map(({ session, tokens }) => ({ session: sessions.get(session), tokens: Math.min(tokens, this.contextLength) })),
      ),
    );
  }

  embed(ids: number[]): Promise<Float32Array> {
    return this.#inTurn(() => {
      const rows = new Float32Array(ids.length * this.manifest.config.hiddenSize);
      for (const [i, id] of ids.entries()) rows.set(this.#row(id), i * this.manifest.config.hiddenSize);
      return rows;
    });
  }

  answer(hidden: Float32Array, queries: HeadQuery[]): Promise<SliceAnswer[]> {
    return this.#inTurn(async () => {
      const width = this.manifest.config.hiddenSize;
      if (hidden.length !== queries.length * width)
        throw new StageError('bad_input', `${queries.length} queries want ${queries.length * width} numbers; ${hidden.length} were given.`);
      const asked = queries.map((query, i) => ({ hidden: hidden.subarray(i * width, (i + 1) * width), query }));
      const answers = await this.#requireHead().sliceAnswers(asked, this.#pauseHead());
      return answers.map((answer, i) => {
        const id = likelyNext(answer, queries[i]!);
        const held = id !== null && this.spec.embed && id >= this.spec.embed.first && id < this.spec.embed.last;
        return { ...answer, next: held ? { id, row: this.#row(id) } : null };
      });
    });
  }

  async bytesOf(sessions: string[]): Promise<number> {
    return this.#parts.sessions.bytesOf(sessions);
  }

  async memory(): Promise<StageMemory> {
    const { arena, weights, sessions } = this.#parts;
    return { wasmBytes: arena.bytes, weightBytes: weights.bytes, sessionBytes: sessions.bytesInUse, room: this.#room };
  }

  /** Ends the stage and its threads, where it has some, when all calls made before have ended. Of this implementation only. */
  end(): Promise<void> {
    return this.#inTurn(() => this.#parts.team?.close());
  }

  /** Runs `work` when all calls made before have ended. */
  #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** What snapshots must agree on: weights (by the checksums of the pack's files), layers and slices. */
  #identity(): number {
    const text = JSON.stringify([this.manifest.files.map((file) => file.checksum), this.spec, this.spec.head !== null]);
    return fnv1aOf(text) >>> 0;
  }

  #requireHead(): Head {
    if (!this.#head) throw new StageError('bad_input', 'This stage has no head, so it cannot be asked about logits.');
    return this.#head;
  }

  /** A row of the token table [H], in memory of its own. */
  #row(id: number): Float32Array {
    const { kernel, arena, scratch, weights } = this.#parts;
    if (weights.embed === 0 || !kernel.embedRow(weights.embed, id, scratch.x))
      throw new StageError('bad_input', `This stage does not hold row ${id} of the token table.`);
    return new Float32Array(arena.memory.buffer, scratch.x, this.manifest.config.hiddenSize).slice();
  }

  #lastHidden(session: string): Float32Array {
    this.#requireHead();
    const { hidden } = this.#parts.sessions.get(session);
    if (!hidden) throw new StageError('bad_input', `Session ${session} has seen no token yet, so it has no logits.`);
    return hidden;
  }

  /** Runs the layers over a batch. Returns each entry's hidden states [tokens, H]. */
  async #run(batch: StepEntry[], signal?: AbortSignal): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    const { sessions, arena } = this.#parts;
    const admitted = checkBatch(batch, this.manifest.config, this.spec, sessions);
    sessions.reserve(admitted.map(({ session, tokens }) => ({ session, tokens: session.position + tokens })));
    for (const { session, tokens } of admitted) sessions.clearAhead(session, tokens);
    const width = this.manifest.config.hiddenSize;
    const outputs = admitted.map(({ tokens }) => new Float32Array(tokens * width));
    return this.#finish(batch, async () => {
      const rows = rowsOf(admitted);
      for (const micro of microBatches(rows)) {
        await this.#runLayers(micro, signal);
        const x = new Float32Array(arena.memory.buffer, this.#parts.scratch.x, micro.length * width);
        for (const [i, row] of micro.entries()) outputs[row.entry]!.set(x.subarray(i * width, (i + 1) * width), row.token * width);
      }
      for (const [i, { session, tokens }] of admitted.entries()) {
        session.position += tokens;
        if (this.spec.head) session.hidden = outputs[i]!.slice(-width);
      }
      return outputs;
    });
  }

  /** Runs the part of a step that changes sessions: whatever stops it leaves them unusable. */
  async #finish<T>(batch: StepEntry[], work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      for (const { session } of batch) this.#parts.sessions.get(session).broken = true;
      throw error;
    }
  }

  /** All layers over one micro-batch, from and to `scratch.x`. */
  async #runLayers(rows: Row[], signal?: AbortSignal): Promise<void> {
    const { kernel, scratch, weights } = this.#parts;
    writeRows(rows, this.#parts, this.#fillRopeTable);
    const show = this.#parts.observe && observer(this.#parts, rows.length, this.#parts.observe);
    for (const [i, { address }] of weights.layers.entries()) {
      show?.beforeMixer(i);
      kernel.mixer(scratch.model, address, scratch.rows, rows.length);
      show?.afterMixer(i);
      const first = rows.reduce((sum, { position }) => sum + this.#work.mixer(this.spec.layers.first + i, position), 0);
      const second = rows.length * this.#work.mlp;
      // Half a layer of a full micro-batch already takes several milliseconds in a large model.
      const halfway = rows.length > MAX_ROWS / 4;
      if (halfway) await this.#pause(first, signal);
      kernel.mlp(scratch.model, address, rows.length);
      show?.afterMlp(i);
      await this.#pause(halfway ? second : first + second, signal);
    }
  }

  async #pause(work: number, signal?: AbortSignal): Promise<void> {
    await this.#parts.yieldNow(work);
    signal?.throwIfAborted();
  }

  /** Lets other events in after so many rows of the head. */
  #pauseHead(signal?: AbortSignal): (rows: number) => Promise<void> {
    return (rows) => this.#pause(rows * this.#work.headRow, signal);
  }
}
