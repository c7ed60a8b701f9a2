import { PromptLookup } from './prompt-lookup.ts';
import type { Choice, Sampler } from './sampling.ts';
import { type HeadAnswer, type HeadQuery, type Stage, StageError } from './stage.ts';

/** What the head says of a position. */
export interface Asked {
  query: HeadQuery;
  answer: HeadAnswer;
}

export interface DecodingLimits {
  /** Tokens of the answer. */
  maxTokens: number;
  /** Tokens of the sequence. */
  contextLength: number;
  /** Tokens of the sequence that memory was set aside for. */
  reserved?: number;
  speculate?: () => boolean;
}

/** Rows of a step that verifies drafts, together with what an earlier one left to be fed again. */
const MOST_ROWS = 4;

/**
 * Decodes one sequence token by token: `choose` the next one, then `feed` it. Where it pays, `feed` evaluates drafted tokens along with it in a copy of the session, and
 * the following `choose` calls take their answers from there as long as the drafts are what is chosen. Choosing is deterministic (a seed decides every draw), so
 * the tokens are those of decoding one by one, drawn ones too. A recurrent state cannot be cut back: after a wrong draft the copy is dropped, and the tokens that
 * were right are fed again, to the original, with the next one.
 */
export class SequenceDecoder {
  readonly #stage: Stage;
  readonly #sampler: Sampler;
  readonly #limits: DecodingLimits;
  readonly #signal: AbortSignal;
  readonly #lookup: PromptLookup | null;
  /** The session that has seen `#position` tokens, and the name for a copy of it; they swap when all drafts were right. */
  #session: string;
  #spare: string;
  #position: number;
  /** Chosen tokens that the session has not seen. */
  #pending: number[] = [];
  /** Answers for the next positions: all but the first hold if the drafts before them are chosen. */
  #asked: Asked[];
  #drafted: number[] = [];
  #right = 0;
  #tokens = 0;

  /** @param asked the answer for the first position after the prompt, all of which the session has seen */
  constructor(
    stage: Stage,
    session: string,
    promptIds: number[],
    sampler: Sampler,
    asked: Asked,
    limits: DecodingLimits,
    signal: AbortSignal,
  ) {
    this.#stage = stage;
    this.#session = session;
    this.#spare = `${session} ahead`;
    this.#position = promptIds.length;
    this.#sampler = sampler;
    this.#asked = [asked];
    this.#limits = limits;
    this.#signal = signal;
    this.#lookup = limits.speculate && !sampler.mayAskAgain ? new PromptLookup(promptIds) : null;
  }

  /** The next token. */
  async choose(): Promise<Choice> {
    const { query, answer } = this.#asked.shift()!;
    return this.#sampler.choose(query, answer, (again) => this.#stage.head(this.#session, again));
  }

  /** Goes on with the token just chosen. Throws the signal's reason, or what the stage throws. */
  async feed(id: number): Promise<void> {
    this.#tokens += 1;
    this.#lookup?.push(id);
    this.#pending.push(id);
    if (this.#drafted[this.#right] === id) {
      this.#right += 1;
      // The copy has seen it already, and what comes after it has been asked.
      if (this.#right === this.#drafted.length) await this.#keepCopy();
      return;
    }
    if (this.#drafted.length > 0) await this.#dropCopy();
    const drafted = this.#draft();
    if (drafted.length > 0 && (await this.#stepAhead(drafted))) this.#drafted = drafted;
    else await this.#step(this.#session, []);
  }

  /** Closes what this has opened; the session it was given stays the caller's. */
  async close(): Promise<void> {
    for (const session of [this.#session, this.#spare]) if (session.endsWith(' ahead')) await this.#stage.close(session);
  }

  /** No more than can be chosen, and than the context holds. */
  #draft(): number[] {
    if (!this.#lookup || !this.#limits.speculate?.()) return [];
    const { maxTokens, contextLength } = this.#limits;
    const room = Math.min(maxTokens - this.#tokens, contextLength - this.#position - this.#pending.length) - 1;
    return this.#lookup.draft(Math.min(room, MOST_ROWS - this.#pending.length));
  }

  /** Evaluates drafts in a copy. False when there is no memory for one, and then nothing has changed. */
  async #stepAhead(drafted: number[]): Promise<boolean> {
    try {
      await this.#stage.fork(this.#session, this.#spare);
      await this.#step(this.#spare, drafted);
      return true;
    } catch (error) {
      if (!(error instanceof StageError) || error.code !== 'out_of_memory') throw error;
      await this.#stage.close(this.#spare);
      return false;
    }
  }

  /** Feeds what is pending, and drafts after it; asks for the positions after the last pending token and after each draft. */
  async #step(session: string, drafted: number[]): Promise<void> {
    const queries = [0, ...drafted].map((_, i) => this.#sampler.query(drafted.slice(0, i)));
    const ids = [...this.#pending, ...drafted];
    const asking = drafted.length === 0 ? { head: queries[0]! } : { heads: queries };
    const [result] = await this.#stage.step([{ session, position: this.#position, ids, ...asking }], this.#signal);
    const answers = result?.heads ?? (result?.head ? [result.head] : []);
    if (answers.length !== queries.length) throw new Error('The stage answered without logits: it holds no head.');
    this.#asked = queries.map((query, i) => ({ query, answer: answers[i]! }));
    if (drafted.length > 0) return;
    this.#position += this.#pending.length;
    this.#pending = [];
  }

  /** All drafts were right: the copy is the session now. */
  async #keepCopy(): Promise<void> {
    this.#lookup?.judge(this.#right);
    [this.#session, this.#spare] = [this.#spare, this.#session];
    this.#position += this.#pending.length;
    this.#pending = [];
    this.#drafted = [];
    this.#right = 0;
    const closing = this.#stage.close(this.#spare);
    const { reserved } = this.#limits;
    // Asked for at once, before anyone else can be given what this frees. What is used by another copy meanwhile is done without.
    const keeping = reserved === undefined ? undefined : this.#stage.reserve([{ session: this.#session, tokens: reserved }]);
    await Promise.all([closing, keeping?.catch(() => {})]);
  }

  async #dropCopy(): Promise<void> {
    this.#lookup?.judge(this.#right);
    this.#drafted = [];
    this.#right = 0;
    await this.#stage.close(this.#spare);
  }
}
