/** A chat message as far as its text matters here. */
export interface TextMessage {
  role: string;
  content?: string | { type: string; text?: string }[] | null;
}

/** UTF-16 units of a text that are looked at, at its beginning and at its end: where instructions stand. */
const EDGE_UNITS = 2048;
/** Messages that are looked at, at the end of a conversation and, for its system prompt, at the beginning. */
const LAST_MESSAGES = 6;

/** What is looked at of one message. */
export interface Sample {
  role: string;
  text: string;
  /** How many times longer the whole message is than `text`. */
  scale: number;
}

/** Beginning and end of the first and the last messages: a bound on the work, however long a conversation is. `rest` are the units of messages left out. */
export function sampleMessages(messages: readonly TextMessage[]): { samples: Sample[]; rest: number } {
  const samples: Sample[] = [];
  let rest = 0;
  messages.forEach((message, i) => {
    if (i > 0 && i < messages.length - LAST_MESSAGES) rest += textLength(message);
    else samples.push(sampleText(message.role, textParts(message), textLength(message)));
  });
  return { samples, rest };
}

function textLength({ content }: TextMessage): number {
  if (typeof content === 'string') return content.length;
  return content?.reduce((sum, { text }) => sum + (text?.length ?? 0), 0) ?? 0;
}

const textParts = ({ content }: TextMessage): string[] =>
  typeof content === 'string' ? [content] : (content ?? []).map((part) => part.text ?? '');

function sampleText(role: string, parts: string[], length: number): Sample {
  if (length <= 2 * EDGE_UNITS) return { role, text: parts.join('\n'), scale: 1 };
  let [head, tail] = ['', ''];
  for (const part of parts) {
    if (head.length >= EDGE_UNITS) break;
    head += part.slice(0, EDGE_UNITS - head.length);
  }
  for (const part of parts.toReversed()) {
    if (tail.length >= EDGE_UNITS) break;
    tail = part.slice(-(EDGE_UNITS - tail.length)) + tail;
  }
  return { role, text: `${head}\n${tail}`, scale: length / (2 * EDGE_UNITS) };
}

/** Beginning and end of a text are read for its instruction, UTF-16 units each: what lies between is what it is about. */
const INSTRUCTION_UNITS = 400;

export const instructionOf = (text: string): string =>
  text.length <= 2 * INSTRUCTION_UNITS ? text : `${text.slice(0, INSTRUCTION_UNITS)}\n${text.slice(-INSTRUCTION_UNITS)}`;
