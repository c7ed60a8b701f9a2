import { readSignals } from '../models/capability/signals.ts';
import type { ChatParameters, ChatRequest } from '../routes/schema/chat.ts';
import type { ChatMessage } from '../routes/schema/message.ts';
import { type Features, type Obstacle, plainFeatures } from './routing/types.ts';

/**
 * What the routing rules need to know of a validated request. Pure.
 * @param correction what engines counted over what was estimated of earlier prompts (`corrected` in models/capability/signals.ts)
 */
export function extractFeatures(request: ChatRequest, correction = 1): Features {
  const { body } = request;
  return {
    ...plainFeatures,
    ...readSignals(body.messages, correction),
    stream: request.stream,
    model: body.model,
    promptBytes: promptBytes(body.messages),
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    maxTokensParam: body.max_completion_tokens != null ? 'max_completion_tokens' : 'max_tokens',
    obstacles: [
      ...mediaObstacles(body),
      ...toolObstacles(body),
      ...formatObstacles(body),
      ...request.unknown.map((param): Obstacle => ({ reason: 'unsupported_parameter', param })),
    ],
    thinking: asksForThinking(body),
    toolHistory: body.messages.some((message) => message.role === 'tool' || Boolean(message.tool_calls?.length)),
  };
}

/** UTF-8 bytes of all text in the messages. */
function promptBytes(messages: ChatMessage[]): number {
  let bytes = 0;
  for (const { content, reasoning_content } of messages) {
    if (typeof content === 'string') bytes += utf8Length(content);
    else for (const part of content ?? []) bytes += utf8Length(part.text ?? '');
    if (reasoning_content) bytes += utf8Length(reasoning_content);
  }
  return bytes;
}

const encoder = new TextEncoder();
/** What is written here is not looked at. */
const scratch = new Uint8Array(16_384);

/** Bytes of a string in UTF-8. To have it encoded piece by piece and forget that takes a tenth of the time of looking at each character here. */
function utf8Length(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; ) {
    const { read, written } = encoder.encodeInto(at === 0 ? text : text.slice(at), scratch);
    at += read;
    bytes += written;
  }
  return bytes;
}

function mediaObstacles(body: ChatParameters): Obstacle[] {
  const obstacles: Obstacle[] = [];
  body.messages.forEach((message, i) => {
    if (message.refusal) obstacles.push({ reason: 'unsupported_parameter', param: `messages[${i}].refusal` });
    if (message.audio) obstacles.push({ reason: 'not_text', param: `messages[${i}].audio` });
    if (!Array.isArray(message.content)) return;
    message.content.forEach((part, j) => {
      const param = `messages[${i}].content[${j}]`;
      if (part.type !== 'text') obstacles.push({ reason: 'not_text', param: `${param}.type` });
      for (const key of Object.keys(part)) {
        if (part.type === 'text' && key !== 'type' && key !== 'text')
          obstacles.push({ reason: 'unsupported_parameter', param: `${param}.${key}` });
      }
    });
  });
  if (body.audio) obstacles.push({ reason: 'not_text', param: 'audio' });
  if (body.modalities?.some((modality) => modality !== 'text')) obstacles.push({ reason: 'not_text', param: 'modalities' });
  return obstacles;
}

function toolObstacles(body: ChatParameters): Obstacle[] {
  const obstacles: Obstacle[] = [];
  if (body.tools?.length) obstacles.push({ reason: 'tools', param: 'tools' });
  if (body.functions?.length) obstacles.push({ reason: 'tools', param: 'functions' });
  if (isForced(body.tool_choice)) obstacles.push({ reason: 'tools', param: 'tool_choice' });
  if (isForced(body.function_call)) obstacles.push({ reason: 'tools', param: 'function_call' });
  if (body.web_search_options) obstacles.push({ reason: 'tools', param: 'web_search_options' });
  body.messages.forEach((message, i) => {
    if (message.role === 'function' || message.function_call) obstacles.push({ reason: 'tools', param: `messages[${i}]` });
  });
  return obstacles;
}

/** Without tools, `none` and `auto` ask for nothing. */
function isForced(choice: unknown): boolean {
  return choice !== undefined && choice !== null && choice !== 'none' && choice !== 'auto';
}

function formatObstacles(body: ChatParameters): Obstacle[] {
  const obstacles: Obstacle[] = [];
  if (body.response_format && body.response_format.type !== 'text') obstacles.push({ reason: 'response_format', param: 'response_format' });
  if ((body.n ?? 1) > 1) obstacles.push({ reason: 'n', param: 'n' });
  if (body.prediction) obstacles.push({ reason: 'unsupported_parameter', param: 'prediction' });
  if (body.verbosity && body.verbosity !== 'medium') obstacles.push({ reason: 'unsupported_parameter', param: 'verbosity' });
  if (body.stream_options?.include_obfuscation)
    obstacles.push({ reason: 'unsupported_parameter', param: 'stream_options.include_obfuscation' });
  if (body.store === true) obstacles.push({ reason: 'unsupported_parameter', param: 'store' });
  if (body.service_tier && !['auto', 'default'].includes(body.service_tier)) {
    obstacles.push({ reason: 'unsupported_parameter', param: 'service_tier' });
  }
  return obstacles;
}

function asksForThinking(body: ChatParameters): boolean {
  return thinkingSwitch(body) === true;
}

/** Whether the client switched thinking on or off; null when it left that to the model. The template's own switch wins over reasoning_effort. */
export function thinkingSwitch(body: ChatParameters): boolean | null {
  const kwarg = body.chat_template_kwargs?.enable_thinking;
  if (typeof kwarg === 'boolean') return kwarg;
  return body.reasoning_effort ? body.reasoning_effort !== 'none' : null;
}
