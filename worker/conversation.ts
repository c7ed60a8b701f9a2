import type { ChatMessage } from '../routes/schema/message.ts';

/** A conversation stays with the origin for so long after its last turn there, milliseconds. */
const lifetime = 3_600_000;
const mostConversations = 4_096;

/**
 * The conversations that were escalated: their next turns go to the origin, too, as an answer must not get worse in the middle of a conversation.
 *
 * A conversation is known by an HMAC of the key's name and of its messages before the last answer, which are just those that the turn before had. So nothing of
 * the answer is needed, and of the messages nothing is kept. Each isolate remembers its own, under a secret of its own: to ask a Durable Object or KV would cost
 * every later turn of every conversation a hop (KV also takes up to a minute to tell others), for what the confidence gate finds out again where it is forgotten.
 */
export class Escalations {
  /** When they were escalated; the least recent first. */
  readonly #known = new Map<string, number>();
  #secret: CryptoKey | null = null;

  /** Whether an earlier turn was escalated within the hour. */
  async includes(caller: string, messages: readonly ChatMessage[]): Promise<boolean> {
    const last = messages.findLastIndex(({ role }) => role === 'assistant');
    if (last <= 0 || this.#known.size === 0) return false;
    const at = this.#known.get(await this.#name(caller, messages.slice(0, last)));
    return at !== undefined && Date.now() - at < lifetime;
  }

  /** A turn with these messages is answered by the origin, for good. */
  async add(caller: string, messages: readonly ChatMessage[]): Promise<void> {
    const name = await this.#name(caller, messages);
    this.#known.delete(name);
    this.#known.set(name, Date.now());
    if (this.#known.size > mostConversations) this.#known.delete(this.#known.keys().next().value!);
  }

  async #name(caller: string, messages: readonly ChatMessage[]): Promise<string> {
    const told = messages.map(({ role, content, tool_calls }) => [role, textOf(content), tool_calls ?? null]);
    const bytes = new TextEncoder().encode(JSON.stringify([caller, told]));
    return new Uint8Array(await crypto.subtle.sign('HMAC', await this.#key(), bytes)).toHex();
  }

  async #key(): Promise<CryptoKey> {
    if (this.#secret) return this.#secret;
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    // Another request may have been faster; two secrets would forget each other's conversations.
    this.#secret ??= key;
    return this.#secret;
  }
}

/** An image is megabytes of base64: that there is one tells enough. */
function textOf(content: ChatMessage['content']): unknown {
  return Array.isArray(content) ? content.map(({ type, text }) => text ?? [type]) : (content ?? null);
}
