import type { ModelConfig } from '../../../models/config.ts';
import { PAGE } from '../sessions.ts';
import type { HeadAnswer, HeadQuery, Stage, StageMemory, StageSpec, StepEntry, StepResult } from '../stage.ts';
import { StageError } from '../stage.ts';
import { admit } from './admit.ts';
import { isLoss, Members } from './members.ts';
import { type Passed, pass, type Share } from './pass.ts';
import type { Peer } from './peer.ts';
import { isHeld, type Sequence, Sequences } from './sequence.ts';
import { joinSnapshot, splitSnapshot } from './snapshot.ts';
import { unlessAborted } from './unless-aborted.ts';
import { Vocabulary } from './vocabulary.ts';

export interface PipelineOptions {
  /** Longest sequence in tokens; default: the model's own. */
  contextLength?: number;
  /** Waits so many milliseconds before a stage that was lost is tried again. */
  wait?: (ms: number) => Promise<void>;
  /** Is told of every loss that was mended, for counting. */
  onLoss?: (error: unknown) => void;
}

/** Tries in a row, nothing getting anywhere between them, until a stage that stays lost makes the call fail: some ten seconds. */
const TRIES = 14;
/** Tries in all, of a call under which one stage after the other is lost. */
const MOST_TRIES = 100;
const MAX_WAIT_MS = 1500;

/**
 * A whole model over several stages: some hold layers, others slices of the vocabulary. To its caller it is one stage, with the same results to the bit.
 *
 * A stage may be lost at any time. What a session is are its tokens, which are kept here; what the stages hold of it is computed from them, and computed again where it
 * is gone: from the nearest state that all stages still hold (the same prefix in another session, a cached one for instance), or from nothing. The caller notices
 * only that it takes longer.
 */
export class PipelineStage implements Stage {
  readonly spec: StageSpec;
  readonly #config: ModelConfig;
  readonly #members: Members;
  readonly #vocabulary: Vocabulary;
  readonly #options: PipelineOptions;
  readonly #sequences = new Sequences();
  /** Losses that were tried long enough, so that what asked is not tried as often once more. */
  readonly #final = new WeakSet<object>();
  /** A state serves any shorter prefix of its tokens. */
  readonly #cutBack: boolean;
  /** How often tokens have got through all stages. */
  #passes = 0;
  readonly #known = (): string[] => this.#sequences.names;

  /** Throws an Error when the peers do not make up one model. */
  constructor(config: ModelConfig, peers: Peer[], options: PipelineOptions = {}) {
    this.#config = config;
    this.#options = options;
    this.#members = new Members(peers, config.layerTypes.length, config.vocabSize);
    this.#vocabulary = new Vocabulary(this.#members, config.hiddenSize, (work, signal) => this.#mending([], work, signal));
    this.#cutBack = config.layerTypes.every((type) => type === 'full_attention');
    this.spec = this.#members.spec;
  }

  /** Longest sequence, in tokens. */
  get contextLength(): number {
    return Math.min(this.#config.contextLength, this.#options.contextLength ?? this.#config.contextLength);
  }

  /** Connects all stages, and has them load what they hold. Throws what makes that impossible. */
  async connect(): Promise<void> {
    await this.#mending([], async () => {});
  }

  async open(session: string): Promise<void> {
    await this.#create(this.#sequences.add(session, []), async () => {});
  }

  async fork(session: string, as: string, tokens?: number): Promise<void> {
    const source = this.#sequences.get(session);
    const position = tokens ?? source.tokens.length;
    const seen = source.tokens.length;
    if (this.#sequences.find(as)) throw new StageError('session_exists', `Session ${as} is open already.`);
    if (!Number.isInteger(position) || position < 0 || position > seen)
      throw new StageError('bad_input', `Session ${session} has seen ${seen} tokens, so there is no state after ${position}.`);
    if (position < seen && !this.#cutBack)
      throw new StageError('bad_input', `Session ${session} has a recurrent state at ${seen} tokens, which cannot be cut back.`);
    const copy = this.#sequences.add(as, source.tokens.slice(0, position));
    copy.hidden = position === seen ? source.hidden : null;
    copy.next = position === seen ? source.next : new Map();
    // A source that was lost is computed anew itself, and not only its copy: others may be taken of it.
    await this.#create(copy, async (epochs) => {
      await this.#release(copy);
      await this.#hold(source, epochs);
      await this.#copy(source, copy, position);
      copy.epochs = epochs;
    });
  }

  /** A stage that is lost loses what was set aside in it. */
  async reserve(wanted: { session: string; tokens: number }[]): Promise<void> {
    const sequences = wanted.map(({ session }) => this.#sequences.get(session));
    const tokens = wanted.map((one) => Math.min(this.contextLength, one.tokens));
    await this.#mending(sequences, () =>
      this.#setAside(sequences.flatMap((sequence, i) => (tokens[i]! > sequence.reserved ? [{ sequence, tokens: tokens[i]! }] : []))),
    );
  }

  async close(session: string): Promise<void> {
    const sequence = this.#sequences.find(session);
    if (!sequence) return;
    this.#sequences.remove(sequence);
    await this.#release(sequence);
  }

  async bytesOf(sessions: string[]): Promise<number> {
    const names = sessions.flatMap((id) => this.#sequences.find(id)?.name ?? []);
    if (names.length === 0) return 0;
    const bytes = await this.#mending([], () => this.#members.eachLayers((peer) => peer.bytesOf(names)));
    return bytes.reduce((sum, some) => sum + some, 0);
  }

  /** At an abort it throws at once; stages that are computing for these sessions alone stop, and none is asked for more. */
  async step(batch: StepEntry[], signal?: AbortSignal): Promise<StepResult[]> {
    signal?.throwIfAborted();
    const shares = admit(batch, this.#sequences, { vocabSize: this.#config.vocabSize, contextLength: this.contextLength });
    const sequences = shares.map(({ sequence }) => sequence);
    for (const sequence of sequences) sequence.busy = true;
    try {
      const work = this.#mending(sequences, (epochs) => this.#pass(shares, epochs, signal), signal);
      const passed = await unlessAborted(work, signal, () => this.#cancel(sequences));
      return batch.map(({ head, heads }, i) => {
        const { answers } = passed[i]!;
        return { hidden: null, head: head ? answers[0]! : null, ...(heads && { heads: answers }) };
      });
    } catch (error) {
      if (signal?.aborted) for (const sequence of sequences) sequence.stopped = true;
      throw error;
    } finally {
      for (const sequence of sequences) sequence.busy = false;
    }
  }

  async head(session: string, query: HeadQuery): Promise<HeadAnswer> {
    const sequence = this.#sequences.get(session);
    const { hidden } = sequence;
    if (!hidden) throw new StageError('bad_input', `Session ${session} has seen no token yet, so it has no logits.`);
    return (await this.#vocabulary.answer([{ sequence, hidden, query }]))[0]!;
  }

  async snapshot(session: string): Promise<Uint8Array> {
    const sequence = this.#sequences.get(session);
    const parts = await this.#mending([sequence], () => this.#members.eachLayers((peer) => peer.snapshot(sequence.name)));
    return joinSnapshot({ tokens: sequence.tokens, hidden: sequence.hidden, parts });
  }

  async restore(session: string, snapshot: Uint8Array): Promise<void> {
    const { tokens, hidden, parts } = splitSnapshot(snapshot, this.#members.layers.length, this.#config.hiddenSize);
    const sequence = this.#sequences.add(session, tokens);
    sequence.hidden = hidden;
    await this.#create(sequence, async (epochs) => {
      await this.#release(sequence);
      this.#rename(sequence);
      await this.#members.eachLayers((peer, i) => peer.restore(sequence.name, parts[i]!));
      sequence.epochs = epochs;
    });
  }

  memory(): Promise<StageMemory> {
    return this.#mending([], () => this.#members.memory());
  }

  /** Takes sessions on, whose state these instances hold. */
  async #pass(shares: Share[], epochs: string[], signal?: AbortSignal): Promise<Passed[]> {
    await this.#reserve(shares);
    signal?.throwIfAborted();
    for (const { sequence } of shares) sequence.epochs = null;
    const model = { members: this.#members, vocabulary: this.#vocabulary, width: this.#config.hiddenSize };
    const passed = await pass(shares, model, signal);
    this.#passes += 1;
    signal?.throwIfAborted();
    for (const [i, { sequence, ids, position }] of shares.entries()) {
      // Not when they are computed again.
      if (position === sequence.tokens.length) sequence.tokens.push(...ids);
      sequence.hidden = passed[i]!.hidden;
      sequence.epochs = epochs;
    }
    return passed;
  }

  /** Memory for the tokens of a pass, a page at a time, in every stage before the first one computes: a pass is not to stop halfway for want of it. */
  async #reserve(shares: Share[]): Promise<void> {
    const wanted = shares.flatMap(({ sequence, position, ids }) => {
      const tokens = position + ids.length;
      return tokens > sequence.reserved ? [{ sequence, tokens: Math.min(this.contextLength, Math.ceil(tokens / PAGE) * PAGE) }] : [];
    });
    await this.#setAside(wanted);
  }

  async #setAside(wanted: { sequence: Sequence; tokens: number }[]): Promise<void> {
    if (wanted.length === 0) return;
    const named = wanted.map(({ sequence, tokens }) => ({ session: sequence.name, tokens }));
    await this.#members.eachLayers((peer) => peer.reserve(named));
    for (const { sequence, tokens } of wanted) sequence.reserved = tokens;
  }

  /** Brings a new session about, or leaves no trace of it. */
  async #create(sequence: Sequence, make: (epochs: string[]) => Promise<void>): Promise<void> {
    sequence.busy = true;
    try {
      await this.#mending([], async (epochs) => {
        await make(epochs);
        await this.#hold(sequence, epochs);
      });
    } catch (error) {
      this.#sequences.remove(sequence);
      await this.#release(sequence);
      throw error;
    } finally {
      sequence.busy = false;
    }
  }

  /** Does `work` when the stages hold the state of these sessions, and again from the start for as long as stages are lost meanwhile. */
  async #mending<T>(sequences: Sequence[], work: (epochs: string[]) => Promise<T>, signal?: AbortSignal): Promise<T> {
    let passes = this.#passes;
    for (let failures = 0, losses = 1; ; failures++, losses++) {
      try {
        const epochs = this.#members.epochs ?? (await this.#members.connect(this.#known));
        signal?.throwIfAborted();
        for (const sequence of sequences) if (!isHeld(sequence, epochs)) await this.#hold(sequence, epochs, signal);
        return await work(epochs);
      } catch (error) {
        signal?.throwIfAborted();
        if (!isLoss(error) || this.#final.has(error)) throw error;
        if (this.#passes > passes) failures = 0;
        passes = this.#passes;
        if (failures >= TRIES || losses >= MOST_TRIES) {
          this.#final.add(error);
          throw error;
        }
        this.#options.onLoss?.(error);
        // A stage that has closed a session, its lease being over, is still the same instance.
        if (error instanceof StageError) for (const sequence of sequences) sequence.epochs = null;
        if (failures > 0) await (this.#options.wait ?? defaultWait)(Math.min(MAX_WAIT_MS, 25 * 2 ** failures));
        signal?.throwIfAborted();
      }
    }
  }

  /** Makes sure that these instances hold the state of a session. */
  async #hold(sequence: Sequence, epochs: string[], signal?: AbortSignal): Promise<void> {
    if (isHeld(sequence, epochs)) return;
    sequence.epochs = null;
    await this.#release(sequence);
    // What is opened after an abort nobody would close.
    signal?.throwIfAborted();
    const { tokens } = sequence;
    const nearest = this.#sequences.nearest(tokens, epochs, this.#cutBack);
    if (nearest) await this.#copy(nearest.sequence, sequence, nearest.tokens);
    else {
      this.#rename(sequence);
      await this.#members.eachLayers((peer) => peer.open(sequence.name));
    }
    const known = nearest?.tokens ?? 0;
    if (known < tokens.length) await this.#pass([{ sequence, position: known, ids: tokens.slice(known), queries: [] }], epochs, signal);
    // Only now: what fails halfway is not held.
    sequence.epochs = epochs;
  }

  /** Gives a session the state that another was in after so many tokens. Asks for it at once: in a moment, the other may go on. */
  async #copy(source: Sequence, copy: Sequence, tokens: number): Promise<void> {
    this.#rename(copy);
    try {
      await this.#members.eachLayers((peer) => peer.fork(source.name, copy.name, tokens));
    } catch (error) {
      // A stage may have closed it, its lease being over.
      if (isLoss(error)) source.epochs = null;
      throw error;
    }
  }

  #rename(sequence: Sequence): void {
    sequence.name = this.#sequences.newName();
    sequence.reserved = 0;
  }

  #cancel(sequences: Sequence[]): void {
    const names = sequences.map(({ name }) => name);
    for (const peer of this.#members.layers) peer.cancel(names).catch(() => {});
  }

  /** Frees what the stages hold of a session, where they are there. */
  async #release(sequence: Sequence): Promise<void> {
    const { name } = sequence;
    if (name === '') return;
    sequence.name = '';
    sequence.epochs = null;
    await Promise.allSettled(this.#members.layers.map((peer) => peer.close(name)));
  }
}

const defaultWait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
