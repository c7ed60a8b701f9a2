import type { ChatEvent } from '../../routes/gateway.ts';
import { type GateVerdict, gateVerdict, tokenConfidence } from '../routing/gate.ts';
import type { Gate } from '../routing/types.ts';

/** The beginning of an answer while nobody may see it, and what the gate says of it. */
export class HeldBack {
  readonly #gate: Gate;
  readonly #tokens: ReturnType<typeof tokenConfidence>[] = [];
  #text = '';

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  see(event: ChatEvent): GateVerdict {
    if (event.type === 'delta') {
      this.#text += event.content ?? '';
      for (const token of event.logprobs ?? []) this.#tokens.push(tokenConfidence(token));
    }
    return gateVerdict({ tokens: this.#tokens, text: this.#text, finished: event.type === 'finish' }, this.#gate);
  }
}

/**
 * An event as the client asked for it, where the gate wanted to know more.
 * @param asked alternatives per token that the client asked for, null for no logprobs
 */
export function asAsked(event: ChatEvent, asked: number | null): ChatEvent {
  if (event.type !== 'delta' || !event.logprobs) return event;
  const logprobs =
    asked === null ? undefined : event.logprobs.map((token) => ({ ...token, top_logprobs: token.top_logprobs.slice(0, asked) }));
  return { ...event, logprobs };
}
