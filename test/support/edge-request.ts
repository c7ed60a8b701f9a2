import type { EdgeAnswer, EdgeClient, EdgeEvent, EdgeRequest } from '../../worker/edge/protocol.ts';

/** Of a client that stays. */
export const never = new AbortController().signal;

/** A short question, as the gateway asks the engine. */
export const request = (changes: Partial<EdgeRequest> = {}): EdgeRequest => ({
  id: 'test',
  messages: [{ role: 'user', content: 'Hello! How are you today?' }],
  templateOptions: {},
  sampling: { seed: 1 },
  maxTokens: 12,
  capTokens: null,
  maxPromptTokens: null,
  stop: [],
  topLogprobs: null,
  ...changes,
});

/** The events of an answer. Throws when it was refused. */
export function accepted(answer: EdgeAnswer): AsyncIterable<EdgeEvent> {
  if (!answer.accepted) throw new Error(`Refused: ${answer.refused}: ${answer.message}`);
  return answer.events;
}

/** Asks and reads the answer to its end. */
export async function ask(client: EdgeClient, changes: Partial<EdgeRequest> = {}) {
  const events: EdgeEvent[] = [];
  for await (const event of accepted(await client.generate(request(changes), never))) events.push(event);
  const deltas = events.filter((event) => event.type === 'delta');
  return { events, deltas, text: deltas.map(({ content }) => content ?? '').join(''), last: events.at(-1)! };
}
