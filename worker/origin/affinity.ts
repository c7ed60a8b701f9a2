import type { ChatRequest } from '../../routes/schema/chat.ts';
import type { ChatMessage, ContentPart } from '../../routes/schema/message.ts';

/** About 256 tokens of text. */
const leadingChars = 1024;

/**
 * What requests that share a prefix worth keeping have in common: the model, the beginning of the prompt, and the conversation, which is known by
 * `prompt_cache_key` or else by how its first question begins. The system prompt alone would not do: where every request has the same one, all would meet on
 * one endpoint, and a prefix that everybody has is in everybody's cache anyway.
 */
export function affinityKey(model: string, request: ChatRequest): string {
  const { messages, prompt_cache_key } = request.body;
  const question = messages.find((message) => message.role === 'user');
  return [model, beginning(messages[0]), prompt_cache_key ?? beginning(question)].join('\u0000');
}

function beginning(message: ChatMessage | undefined): string {
  const content = message?.content ?? '';
  let text = '';
  for (const part of typeof content === 'string' ? [{ type: 'text', text: content }] : content) {
    text += part.text ?? imageUrl(part) ?? part.type;
    if (text.length >= leadingChars) break;
  }
  return text.slice(0, leadingChars);
}

/** Pictures are told apart by where their address or data begins and ends: the beginnings of two JPEG files are the same. */
function imageUrl(part: ContentPart): string | null {
  const url = (part.image_url as { url?: unknown } | undefined)?.url;
  return typeof url === 'string' ? `${url.slice(0, 64)}${url.slice(-64)}` : null;
}
