import type { Choice } from './sampling.ts';
import { StopStrings } from './stop-strings.ts';

/** What text needs of a tokenizer; `models/tokenizer` has it. */
export interface TokenText {
  /** The bytes a token stands for, possibly part of a character. */
  bytesOf(id: number): Uint8Array;
}

/** Turns ids into text, whole characters only; `models/tokenizer`'s IncrementalDecoder. */
export interface TextDecoding {
  /** Text completed by this token, often empty in the middle of a character. */
  push(id: number): string;
  /** What is left when no more tokens come. */
  flush(): string;
}

/** Parts thinking from answer; `models/template`'s ReasoningSplitter. */
export interface ReasoningSplitting {
  push(text: string): { reasoning: string; content: string };
  flush(): { reasoning: string; content: string };
}

/** One token's log probabilities with its text: OpenAI's logprobs entry. */
export interface LogprobEntry {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** Text that will not change any more. */
export interface Output {
  content: string;
  reasoning: string;
  /** Entries of the tokens whose content is given out here, or null when none were asked for. */
  logprobs: LogprobEntry[] | null;
}

/**
 * From chosen tokens to what a client may see: whole characters, thinking apart, nothing of a stop string, and every token's logprobs together with its text.
 * Stop strings are looked for in the answer, not in the thinking: a client that stops at a blank line wants one paragraph, not an unfinished thought.
 */
export class OutputText {
  readonly #tokenText: TokenText;
  readonly #decoder: TextDecoding;
  readonly #splitter: ReasoningSplitting | null;
  readonly #stops: StopStrings;
  readonly #wantLogprobs: boolean;
  /** Choices whose text is not known yet: parts of a character, or text the splitter still weighs. */
  #unplaced: Choice[] = [];
  /** Choices whose content is known but not all given out, with the length of the content up to their end. */
  #placed: { choice: Choice; end: number }[] = [];
  /** Characters of content decoded, and given out. */
  #decoded = 0;
  #given = 0;
  #stopped = false;

  constructor(tokenText: TokenText, decoder: TextDecoding, splitter: ReasoningSplitting | null, stop: string[], wantLogprobs: boolean) {
    this.#tokenText = tokenText;
    this.#decoder = decoder;
    this.#splitter = splitter;
    this.#stops = new StopStrings(stop);
    this.#wantLogprobs = wantLogprobs;
  }

  /** True once a stop string was met: nothing more will come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** True while everything so far was thinking. */
  get thinking(): boolean {
    return this.#splitter !== null && this.#decoded === 0;
  }

  /** Takes the next token; the answer is empty while its text is incomplete or held back. */
  push(choice: Choice): Output {
    if (this.#wantLogprobs) this.#unplaced.push(choice);
    const text = this.#decoder.push(choice.id);
    return this.#take(this.#splitter ? this.#splitter.push(text) : { content: text, reasoning: '' });
  }

  /** Everything still held back, at the end of a generation. */
  end(): Output {
    const text = this.#decoder.flush();
    const split = this.#splitter?.push(text) ?? { content: text, reasoning: '' };
    const rest = this.#splitter?.flush() ?? { content: '', reasoning: '' };
    const last = this.#take({ content: split.content + rest.content, reasoning: split.reasoning + rest.reasoning });
    if (this.#stopped) return last;
    const held = this.#stops.flush();
    this.#given += held.length;
    return {
      content: last.content + held,
      reasoning: last.reasoning,
      logprobs: this.#wantLogprobs ? [...(last.logprobs ?? []), ...this.#release()] : null,
    };
  }

  #take({ content, reasoning }: { content: string; reasoning: string }): Output {
    this.#decoded += content.length;
    if (content) this.#placed.push(...this.#unplaced.map((choice) => ({ choice, end: this.#decoded })));
    if (content || reasoning) this.#unplaced = [];
    const safe = this.#stops.push(content);
    this.#stopped ||= safe.stopped;
    this.#given += safe.text.length;
    return { content: safe.text, reasoning, logprobs: this.#wantLogprobs ? this.#release() : null };
  }

  /** Entries of the tokens whose content has been given out in full. */
  #release(): LogprobEntry[] {
    const count = this.#placed.findIndex(({ end }) => end > this.#given);
    return this.#placed.splice(0, count < 0 ? this.#placed.length : count).map(({ choice }) => this.#entry(choice));
  }

  #entry(choice: Choice): LogprobEntry {
    const describe = ({ id, logprob }: { id: number; logprob: number }) => {
      const bytes = this.#tokenText.bytesOf(id);
      // A logprob of -Infinity has no JSON form; OpenAI writes -9999 for it.
      return { token: new TextDecoder().decode(bytes), logprob: Math.max(-9999, logprob), bytes: [...bytes] };
    };
    return { ...describe(choice), top_logprobs: choice.top.map(describe) };
  }
}
