import type { ChatMessage, ContentPart, ToolCall } from './message.ts';
import { TemplateError } from './template-error.ts';

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool']);

/** A message as templates expect it: `content` is a string, `arguments` are objects. */
export interface PreparedMessage {
  role: string;
  content: string;
  reasoning_content?: string;
  name?: string;
  tool_call_id?: string;
  tool_calls?: { id?: string; type: string; function: { name: string; arguments: Record<string, unknown> } }[];
}

/**
 * Brings OpenAI's messages into the form that Hugging Face templates are written for.
 * `knowsDeveloper`: the template has the role "developer"; otherwise it is rendered as "system".
 * Throws a TemplateError for a role that does not exist, content that is not text, a tool call without a function, and arguments that are not a JSON object.
 */
export function prepareMessages(messages: readonly ChatMessage[], knowsDeveloper: boolean): PreparedMessage[] {
  return messages.map((message, index) => {
    if (!ROLES.has(message.role))
      throw new TemplateError(`messages[${index}].role "${message.role}" is not one of ${[...ROLES].join(', ')}.`);
    const prepared: PreparedMessage = {
      role: message.role === 'developer' && !knowsDeveloper ? 'system' : message.role,
      content: textOf(message.content, `messages[${index}].content`),
    };
    if (typeof message.reasoning_content === 'string') prepared.reasoning_content = message.reasoning_content;
    if (message.name !== undefined) prepared.name = message.name;
    if (message.tool_call_id !== undefined) prepared.tool_call_id = message.tool_call_id;
    if (message.tool_calls?.length)
      prepared.tool_calls = message.tool_calls.map((call, i) => prepareCall(call, `messages[${index}].tool_calls[${i}]`));
    return prepared;
  });
}

function textOf(content: ChatMessage['content'], where: string): string {
  if (content === null || content === undefined) return '';
  if (typeof content === 'string') return content;
  return content
    .map((part: ContentPart, i) => {
      if (part.type === 'text' && typeof part.text === 'string') return part.text;
      throw new TemplateError(`${where}[${i}] is of type "${part.type}"; this model takes text only.`);
    })
    .join('');
}

function prepareCall(call: ToolCall, where: string): NonNullable<PreparedMessage['tool_calls']>[number] {
  const { name, arguments: raw } = (call.function ?? {}) as Partial<ToolCall['function']>;
  if (typeof name !== 'string') throw new TemplateError(`${where} has no function with a name.`);
  return {
    ...(call.id === undefined ? {} : { id: call.id }),
    type: call.type ?? 'function',
    function: { name, arguments: argumentsOf(raw, where) },
  };
}

function argumentsOf(raw: unknown, where: string): Record<string, unknown> {
  let value = raw;
  if (typeof raw === 'string') {
    try {
      value = raw.trim() === '' ? {} : JSON.parse(raw);
    } catch {
      value = null;
    }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TemplateError(`${where}.function.arguments is not a JSON object.`);
  return value as Record<string, unknown>;
}
