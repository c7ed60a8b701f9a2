import { concat } from '../../routes/concat.ts';

/** A server that sends this much without ending an event does not speak server-sent events. */
const maxEventBytes = 8 * 1024 * 1024;

/**
 * Cuts a byte stream into whole server-sent events, blank line included, without decoding it. Lines end in LF or CRLF. A client must never see half an
 * event, or what follows a broken stream would become part of it.
 */
export class EventSplitter {
  /** Joined only when a line ends: joining and searching a long one at every chunk would take its length squared. */
  readonly #pending: Uint8Array[] = [];
  #length = 0;

  /** No event has begun that has not ended yet. */
  get atStart(): boolean {
    return this.#length === 0;
  }

  /** Bytes of an event that has not ended yet. */
  get rest(): Uint8Array {
    return concat(this.#pending);
  }

  /** The events that end within `chunk`. Throws when an event grows without end. */
  push(chunk: Uint8Array): Uint8Array[] {
    if (!chunk.includes(10)) {
      this.#keep(chunk);
      return [];
    }
    const bytes = this.#pending.length === 0 ? chunk : concat([...this.#pending.splice(0), chunk]);
    this.#length = 0;
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
    if (eventStart < bytes.length) this.#keep(bytes.slice(eventStart));
    return events;
  }

  #keep(part: Uint8Array): void {
    this.#pending.push(part);
    this.#length += part.length;
    if (this.#length > maxEventBytes) throw new Error('an event without end');
  }
}
