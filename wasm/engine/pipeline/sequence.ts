import { commonLength } from '../prefix-index.ts';
import { StageError } from '../stage.ts';

/**
 * A session of a pipeline. What it is are its tokens; what the stages hold is computed from them and can be computed again.
 */
export interface Sequence {
  id: string;
  /** All tokens seen. */
  tokens: number[];
  /** Its name in the stages: a new one whenever its state is computed anew, so that nothing late can touch it. */
  name: string;
  /** The instances of the stages of layers that hold its state after `tokens`; null when it is not known to be there. */
  epochs: string[] | null;
  /** Tokens that the stages have memory for. */
  reserved: number;
  /** Hidden state after the last layer at the last position [H]. */
  hidden: Float32Array | null;
  /** Rows of the token table that came with the last answer. */
  next: Map<number, Float32Array>;
  /** Runs in a step, or is being computed: the stages may hold different numbers of its tokens. */
  busy: boolean;
  /** Stopped in the middle of a step. */
  stopped: boolean;
}

/** The open sessions of a pipeline. */
export class Sequences {
  readonly #open = new Map<string, Sequence>();
  #names = 0;

  add(id: string, tokens: number[]): Sequence {
    if (this.#open.has(id)) throw new StageError('session_exists', `Session ${id} is open already.`);
    const sequence: Sequence = {
      id,
      tokens,
      name: '',
      epochs: null,
      reserved: 0,
      hidden: null,
      next: new Map(),
      busy: false,
      stopped: false,
    };
    this.#open.set(id, sequence);
    return sequence;
  }

  /** Throws `unknown_session`, also for one that was stopped in the middle of a step. */
  get(id: string): Sequence {
    const sequence = this.#open.get(id);
    if (!sequence) throw new StageError('unknown_session', `Session ${id} is not open.`);
    if (sequence.stopped) throw new StageError('unknown_session', `Session ${id} was stopped in the middle of a step; close it.`);
    return sequence;
  }

  find(id: string): Sequence | undefined {
    return this.#open.get(id);
  }

  remove(sequence: Sequence): void {
    if (this.#open.get(sequence.id) === sequence) this.#open.delete(sequence.id);
  }

  /** What the stages may hold for somebody. */
  get names(): string[] {
    return [...this.#open.values()].flatMap(({ name }) => (name === '' ? [] : [name]));
  }

  /** A name that no stage has heard before. */
  newName(): string {
    this.#names += 1;
    return `s${this.#names}`;
  }

  /**
   * The state nearest to that after `tokens` which the stages hold: going on from a copy of it saves most of the work. Null when there is none.
   * @param cutBack a state also serves any shorter prefix of its tokens
   */
  nearest(tokens: number[], epochs: string[], cutBack: boolean): { sequence: Sequence; tokens: number } | null {
    let best: { sequence: Sequence; tokens: number } | null = null;
    for (const sequence of this.#open.values()) {
      if (sequence.busy || sequence.stopped || !isHeld(sequence, epochs)) continue;
      const common = commonLength(sequence.tokens, tokens);
      if (common < sequence.tokens.length && !cutBack) continue;
      if (common > (best?.tokens ?? 0)) best = { sequence, tokens: common };
    }
    return best;
  }
}

/** Whether these instances hold its state. */
export const isHeld = ({ epochs }: Sequence, by: string[]): boolean => epochs?.every((epoch, i) => epoch === by[i]) ?? false;
