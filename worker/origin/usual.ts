/** A stream may have so many events in a row learnt in vain: then its events have nothing in common that helps. */
const maxInVain = 8;

const encoder = new TextEncoder();

/**
 * The event of a token in one stream: all bytes are the same from token to token but for the text. What has been read as JSON once needs no reading when it
 * comes again with another text: an event is known by comparing its bytes, which tells as much and costs a small part. Whatever differs in anything else (a
 * finish, usage, an error, a text with unusual escapes) is not known, and has to be read.
 */
export class UsualEvent {
  /** All before the text, the opening quote included. Empty while there is nothing to go by. */
  #head: Uint8Array = new Uint8Array();
  /** All after the text, from the closing quote to the end of the event. */
  #tail: Uint8Array = new Uint8Array();
  #inVain = 0;

  /**
   * Goes by this event from now on.
   * @param event a whole event that was passed on as it came, as it would have been with any other text
   * @param data its data: a chunk of one choice whose delta carries a text
   */
  learn(event: string, data: string): void {
    if (this.#inVain >= maxInVain) return;
    this.#inVain++;
    const start = event.indexOf(data);
    if (!/^data: ?$/.test(event.slice(0, start)) || !/^(\r?\n){2}$/.test(event.slice(start + data.length))) return;
    const text = textIn(data);
    if (!text) return;
    this.#head = encoder.encode(event.slice(0, start + text.from));
    this.#tail = encoder.encode(event.slice(start + text.to));
  }

  /** Where the event that begins at `start` ends when it is the usual one with another text, -1 otherwise. */
  endOf(bytes: Uint8Array, start: number): number {
    const head = this.#head;
    if (head.length === 0 || !isAt(bytes, start, head)) return -1;
    const from = start + head.length;
    const to = endOfText(bytes, from);
    // Without a text it is no token.
    if (to <= from || !isAt(bytes, to, this.#tail)) return -1;
    this.#inVain = 0;
    return to + this.#tail.length;
  }
}

function isAt(bytes: Uint8Array, start: number, part: Uint8Array): boolean {
  if (start + part.length > bytes.length) return false;
  for (let i = 0; i < part.length; i++) if (bytes[start + i] !== part[i]) return false;
  return true;
}

/** `"\/bfnrt`: what may follow a backslash, but for four hexadecimal digits, which are left to those who read. */
const escapes = new Set([34, 92, 47, 98, 102, 110, 114, 116]);

/** Index of the quote that ends the JSON string, or -1. */
function endOfText(bytes: Uint8Array, from: number): number {
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === 34) return i;
    if (byte < 32) return -1;
    if (byte === 92 && !escapes.has(bytes[++i]!)) return -1;
  }
  return -1;
}

/** Where in a chunk's JSON the text of its token stands; null when that is not certain. */
function textIn(data: string): { from: number; to: number } | null {
  const key = /"(content|reasoning_content)": ?"/.exec(data);
  if (!key) return null;
  const from = key.index + key[0].length;
  let to = from;
  while (to < data.length && data[to] !== '"') to += data[to] === '\\' ? 2 : 1;
  // The same words may stand somewhere else: a longer text there must show in the delta.
  const textOf = (json: string): unknown => JSON.parse(json).choices[0].delta[key[1]!];
  return textOf(`${data.slice(0, to)}?${data.slice(to)}`) === `${textOf(data)}?` ? { from, to } : null;
}
