import type { EndpointKind } from './pool-config.ts';

/** A decoded chunk of a stream or a whole completion, as far as it is looked at; everything else passes unread. */
export interface Chunk {
  id?: unknown;
  created?: unknown;
  model?: unknown;
  error?: unknown;
  usage?: object | null;
  choices?: Choice[];
}

export interface Choice {
  index?: number;
  /** In a stream. */
  delta?: Record<string, unknown> | null;
  /** In a whole answer. */
  message?: Record<string, unknown> | null;
  finish_reason?: unknown;
}

/** An error body by OpenAI's fields. */
export interface SaidError {
  message: string | null;
  type: string | null;
  param: string | null;
  code: string | null;
}

/** What one kind of server does differently. `chunk` changes its argument and says whether it did: what needs no change is passed on as the bytes it came in. */
export interface Adapter {
  /** The request's body as this server wants it. May return its argument. */
  request(body: Record<string, unknown>): Record<string, unknown>;
  /** Makes a chunk, or a whole completion, OpenAI's. What a text says must not matter to it: a stream's events that differ in nothing else are not shown to it. */
  chunk(chunk: Chunk): boolean;
  /** Makes an error body OpenAI's. */
  error(said: SaidError, status: number): SaidError;
}

const unchanged: Adapter = { request: (body) => body, chunk: () => false, error: (said) => said };

/**
 * Newer versions of vLLM say `reasoning` where others say `reasoning_content`, and read only that of what an assistant has said before; the type of an error is the
 * name of a Python class and its code a number.
 */
const vllm: Adapter = {
  request: (body) => withTemplateSwitch(withSystemRole(withReasoning(body))),
  chunk: (chunk) => eachPart(chunk, renameReasoning),
  error: (said, status) => contextLength(plainError(said, status), /maximum context length|longer than the maximum model length/i),
};

/** SGLang says `reasoning_content` itself; its errors are flat, with a class name as type and a number as code. */
const sglang: Adapter = {
  request: (body) => withTemplateSwitch(withSystemRole(body)),
  chunk: (chunk) => eachPart(chunk, renameReasoning),
  error: (said, status) => contextLength(plainError(said, status), /context length|longer than the model's/i),
};

/** llama-server starts a stream with `content: null`, where OpenAI has an empty string; its context error is a type of its own. */
const llamaServer: Adapter = {
  request: (body) => withTemplateSwitch(withSystemRole(body)),
  chunk: (chunk) => eachPart(chunk, emptyFirstContent),
  error(said, status) {
    const code = said.type === 'exceed_context_size_error' ? 'context_length_exceeded' : said.code;
    return contextLength(plainError({ ...said, code }, status), /exceeds? the available context size/i);
  },
};

export const adapters: Record<EndpointKind, Adapter> = { vllm, sglang, 'llama-server': llamaServer, openai: unchanged };

/** Applies `change` to every delta and message. */
function eachPart(chunk: Chunk, change: (part: Record<string, unknown>) => boolean): boolean {
  let changed = false;
  for (const choice of Array.isArray(chunk.choices) ? chunk.choices : []) {
    const part = choice?.delta ?? choice?.message;
    if (part && change(part)) changed = true;
  }
  return changed;
}

function renameReasoning(part: Record<string, unknown>): boolean {
  if (!('reasoning' in part)) return false;
  const { reasoning } = part;
  delete part.reasoning;
  part.reasoning_content ??= reasoning;
  return true;
}

function emptyFirstContent(part: Record<string, unknown>): boolean {
  if (part.role === undefined || part.content !== null || part.tool_calls || part.reasoning_content) return false;
  part.content = '';
  return true;
}

/** Under both names: older versions read the other. */
function withReasoning(body: Record<string, unknown>): Record<string, unknown> {
  const messages = body.messages as { reasoning_content?: unknown; reasoning?: unknown }[];
  const lacks = (message: (typeof messages)[number]) => typeof message.reasoning_content === 'string' && message.reasoning === undefined;
  if (!messages.some(lacks)) return body;
  return {
    ...body,
    messages: messages.map((message) => (lacks(message) ? { ...message, reasoning: message.reasoning_content } : message)),
  };
}

/** Open models' templates know no `developer`, which is what OpenAI calls `system` now. */
function withSystemRole(body: Record<string, unknown>): Record<string, unknown> {
  const messages = body.messages as { role?: unknown }[];
  if (!messages.some((message) => message.role === 'developer')) return body;
  return { ...body, messages: messages.map((message) => (message.role === 'developer' ? { ...message, role: 'system' } : message)) };
}

/** `reasoning_effort: none` means no thinking; Qwen's template has a switch of its own for that. */
function withTemplateSwitch(body: Record<string, unknown>): Record<string, unknown> {
  const kwargs = body.chat_template_kwargs as Record<string, unknown> | null | undefined;
  if (typeof body.reasoning_effort !== 'string' || kwargs?.enable_thinking !== undefined) return body;
  return { ...body, chat_template_kwargs: { ...kwargs, enable_thinking: body.reasoning_effort !== 'none' } };
}

/** The type is OpenAI's for the status; a code that is a number or a class name says nothing; vLLM says where in an HTTP request a parameter was. */
function plainError(said: SaidError, status: number): SaidError {
  const param = said.param?.replace(/^body\./, '') ?? null;
  return { ...said, param, type: status >= 500 ? 'server_error' : status === 429 ? 'rate_limit_error' : 'invalid_request_error' };
}

/** Whatever the server calls its input, the client's word for it is messages. */
function contextLength(said: SaidError, pattern: RegExp): SaidError {
  return said.message && pattern.test(said.message) ? { ...said, code: 'context_length_exceeded', param: 'messages' } : said;
}
