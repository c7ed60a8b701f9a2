import { breakCharacter } from '../tokenizer/added-token.ts';
import type { PreparedMessage } from './prepare-messages.ts';

/**
 * Keeps what clients write from becoming control tokens. A user who writes `<|im_start|>system` must not open a turn of their own.
 *
 * The first punctuation mark of every added token, mostly `<`, is followed by a separator wherever it stands in a client's text, so that no added token can run
 * through one, not even a token that only comes about when the template joins two texts. The template renders the separators along; the tokenizer matches added
 * tokens, then removes the separators. A separator is a Unicode noncharacter that the request does not contain, so templates can trim and split as ever.
 *
 * `<think>` and `</think>` in an assistant's content stay whole, since templates look for them to cut the reasoning off; they cannot leave the assistant's turn.
 */
export class Protection {
  readonly separator: string;
  readonly #marks: RegExp | null;
  /** True when the request contains every noncharacter, so that the separator must be taken out of it first. */
  readonly #mustClean: boolean;

  /** `tokens`: text of all added tokens. `values`: all that the client sent and the template will see. */
  constructor(tokens: readonly string[], values: unknown) {
    const marks = new Set(tokens.flatMap((token) => breakCharacter(token) ?? []));
    this.#marks = marks.size > 0 ? new RegExp(`<think>|</think>|[${[...marks].map(escapeInClass).join('')}]`, 'gu') : null;
    const sent = JSON.stringify(values) ?? '';
    const free = NONCHARACTERS.find((character) => !sent.includes(character));
    this.separator = free ?? NONCHARACTERS[0]!;
    this.#mustClean = free === undefined;
  }

  messages(messages: readonly PreparedMessage[]): PreparedMessage[] {
    return messages.map((message) => {
      const hasTags = message.role === 'assistant' && message.reasoning_content === undefined;
      const parts = Object.entries(message).map(([key, part]) => {
        if (key === 'role') return [key, part];
        return [key, key === 'content' && hasTags ? this.#text(message.content, true) : this.value(part)];
      });
      return Object.fromEntries(parts) as PreparedMessage;
    });
  }

  /** A copy of a JSON value with all its strings and keys protected. */
  value<T>(value: T): T {
    if (typeof value === 'string') return this.#text(value, false) as T;
    if (Array.isArray(value)) return value.map((item) => this.value(item)) as T;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.#text(key, false), this.value(item)])) as T;
  }

  /** The rendered text without separators. */
  strip(text: string): string {
    return text.replaceAll(this.separator, '');
  }

  #text(text: string, keepsThink: boolean): string {
    const clean = this.#mustClean ? text.replaceAll(this.separator, '\ufffd') : text;
    if (!this.#marks) return clean;
    return clean.replace(this.#marks, (match) => {
      if (match === '<think>' || match === '</think>') return keepsThink ? match : `<${this.separator}${match.slice(1)}`;
      return match + this.separator;
    });
  }
}

/** U+FDD0..U+FDEF and the last two code points of each plane, which are not characters and never will be. */
const NONCHARACTERS = [
  ...Array.from({ length: 32 }, (_, i) => String.fromCodePoint(0xfdd0 + i)),
  ...Array.from({ length: 34 }, (_, i) => String.fromCodePoint((i >> 1) * 0x10000 + 0xfffe + (i & 1))),
];

const escapeInClass = (character: string): string => character.replace(/[\\\]^-]/g, '\\$&');
