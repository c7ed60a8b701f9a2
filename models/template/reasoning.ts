export interface SplitText {
  reasoning: string;
  content: string;
}

const CLOSE = '</think>';

/**
 * Splits generated text, as it streams, into reasoning and content at the first `</think>`, whichever way the deltas cut it.
 * Templates write the block as `<think>\nREASONING\n</think>\n\nCONTENT`: the newlines around the closing tag belong to neither.
 */
export class ReasoningSplitter {
  #state: 'reasoning' | 'gap' | 'content';
  /** End of the reasoning that may yet turn out to be newlines and the beginning of `</think>`. */
  #held = '';

  /** `thinking`: the text starts inside the reasoning (EncodedPrompt.thinking); otherwise all of it is content. */
  constructor(thinking: boolean) {
    this.#state = thinking ? 'reasoning' : 'content';
  }

  /** What is certain after this delta; both parts may be empty. */
  push(delta: string): SplitText {
    if (this.#state !== 'reasoning') return { reasoning: '', content: this.#content(delta) };
    const text = this.#held + delta;
    const close = text.indexOf(CLOSE);
    if (close >= 0) {
      this.#state = 'gap';
      this.#held = '';
      return { reasoning: trimNewlinesEnd(text.slice(0, close)), content: this.#content(text.slice(close + CLOSE.length)) };
    }
    const certain = trimNewlinesEnd(text.slice(0, text.length - closeStarted(text)));
    this.#held = text.slice(certain.length);
    return { reasoning: certain, content: '' };
  }

  /** What was held back, once the generation has ended. */
  flush(): SplitText {
    const reasoning = this.#held;
    this.#held = '';
    return { reasoning, content: '' };
  }

  #content(text: string): string {
    if (this.#state === 'content') return text;
    const trimmed = text.replace(/^[\r\n]+/, '');
    if (trimmed !== '') this.#state = 'content';
    return trimmed;
  }
}

/** How many characters at the end of the text may be the beginning of `</think>`. */
function closeStarted(text: string): number {
  for (let length = Math.min(CLOSE.length - 1, text.length); length > 0; length--) if (CLOSE.startsWith(text.slice(-length))) return length;
  return 0;
}

function trimNewlinesEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === '\n' || text[end - 1] === '\r')) end--;
  return text.slice(0, end);
}
