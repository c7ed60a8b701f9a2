import type { Tokenizer } from './tokenizer.ts';

/** Decodes a stream of ids; the pieces it returns, joined, are what Tokenizer.decode makes of the whole sequence. */
export class IncrementalDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecial: boolean;
  readonly #decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

  constructor(tokenizer: Tokenizer, options: { skipSpecial?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecial = options.skipSpecial ?? false;
  }

  /** Text that this id completes: empty while a character is unfinished, never half of one. */
  push(id: number): string {
    if (this.#skipSpecial && this.#tokenizer.isSpecial(id)) return '';
    return this.#decoder.decode(this.#tokenizer.bytesOf(id), { stream: true });
  }

  /** What an unfinished character leaves behind (U+FFFD), at the end of a sequence. The decoder can be used again after it. */
  flush(): string {
    return this.#decoder.decode();
  }
}
