/** A server that sends this much without ending an event does not speak server-sent events. */
const maxEventBytes = 8 * 1024 * 1024;

/**
 * Cuts a byte stream into whole server-sent events, blank line included, without decoding it. Lines end in LF or CRLF. A client must never see half an
 * event, or what follows a broken stream would become part of it.
 */
export class EventSplitter {
  #pending: Uint8Array = new Uint8Array(0);

  /** Bytes of an event that has not ended yet. */
  get rest(): Uint8Array {
    return this.#pending;
  }

  /** The events that end within `chunk`. Throws when an event grows without end. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = this.#pending.length === 0 ? chunk : concat(this.#pending, chunk);
    const events: Uint8Array[] = [];
    let eventStart = 0;
    let lineStart = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, lineStart)) {
      const length = bytes[end - 1] === 13 && end > lineStart ? end - 1 - lineStart : end - lineStart;
      lineStart = end + 1;
      if (length > 0) continue;
      events.push(bytes.subarray(eventStart, lineStart));
      eventStart = lineStart;
    }
    this.#pending = bytes.slice(eventStart);
    if (this.#pending.length > maxEventBytes) throw new Error('an event without end');
    return events;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
