import type { ChatTemplate } from '../../models/template/chat-template.ts';
import type { ChatMessage } from '../../models/template/message.ts';
import { TemplateError } from '../../models/template/template-error.ts';
import { commonLength } from '../../wasm/engine/prefix-index.ts';
import type { EdgeRequest } from './protocol.ts';

/** Tokens of a first turn from which on it is kept for a second: a shorter one is evaluated again about as fast. */
const LONG_TURN = 96;
/** Characters of a system prompt that is worth keeping. */
const LONG_SYSTEM_PROMPT = 64;

/**
 * Where other prompts will go on differently: after the system prompt, and before what the template puts at the end to open the answer (the next turn of the
 * conversation says something else there, for instance no empty thinking block). Found by letting the template write a prompt with the same beginning.
 */
export function promptBoundaries(template: ChatTemplate, request: EdgeRequest, ids: number[]): number[] {
  const messages = request.messages as ChatMessage[];
  const shared = (other: ChatMessage[], addGenerationPrompt: boolean): number => {
    try {
      return commonLength(ids, template.encode(other, { variables: request.templateOptions, addGenerationPrompt }).ids);
    } catch (error) {
      // Not every template takes every list of messages; then there is no boundary to be known.
      if (error instanceof TemplateError) return 0;
      throw error;
    }
  };
  const boundaries: number[] = [];
  const first = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  const system = messages.slice(0, Math.max(0, first));
  if (system.reduce((sum, { content }) => sum + String(content).length, 0) >= LONG_SYSTEM_PROMPT) {
    boundaries.push(shared([...system, { role: 'user', content: '§' }], true));
  }
  if (ids.length >= LONG_TURN || messages.some(({ role }) => role === 'assistant')) boundaries.push(shared(messages, false));
  return boundaries;
}
