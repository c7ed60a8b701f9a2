import { ApiError } from '../../routes/errors.ts';
import type { ChatEvent } from '../../routes/gateway.ts';
import type { ChatParameters, ChatRequest } from '../../routes/schema/chat.ts';
import type { ChatMessage } from '../../routes/schema/message.ts';
import { thinkingSwitch } from '../features.ts';
import type { Features, Limits, Refusal } from '../routing/types.ts';
import type { EdgeClient, EdgeEvent, EdgeMessage, EdgeRequest, EdgeSampling } from './protocol.ts';

export interface EdgeCall {
  request: ChatRequest;
  features: Features;
  limits: Limits;
  id: string;
  /** With whom this call shares evaluated prompt prefixes; null for nobody. */
  cacheScope: string | null;
  /** The client's signal. */
  signal: AbortSignal;
}

/** Accepted: the engine's own name for its model, and the answer. Refused: nothing was generated, or nothing that anyone has seen. */
export type EdgeOutcome = { refusal: null; model: string; events: AsyncIterable<ChatEvent> } | { refusal: Refusal };

/** The engine stopped in the middle of an answer. */
export class EdgeFailure extends ApiError {
  override readonly name = 'EdgeFailure';
}

/**
 * Asks the edge model. Resolves when a stream's first token is there, or when the whole answer is, so that an engine that fails before that has refused, and
 * another route may be tried. Throws the signal's reason when the client left.
 */
export async function callEdge(client: EdgeClient, call: EdgeCall): Promise<EdgeOutcome> {
  const answer = await client.generate(edgeRequest(call), call.signal);
  if (!answer.accepted) {
    return { refusal: { code: answer.refused, message: answer.message, promptTokens: answer.promptTokens, retryAfter: answer.retryAfter } };
  }
  let model = '';
  const events = chatEvents(answer.events, (name) => {
    model = name;
  });
  try {
    const first: ChatEvent[] = [];
    for (let next = await events.next(); !next.done; next = await events.next()) {
      first.push(next.value);
      if (call.request.stream) break;
    }
    return { refusal: null, model, events: resume(first, events) };
  } catch (error) {
    if (!(error instanceof EdgeFailure)) throw error;
    return { refusal: { code: 'model_unavailable', message: error.message, promptTokens: null, retryAfter: null } };
  }
}

async function* resume(first: ChatEvent[], rest: AsyncGenerator<ChatEvent>): AsyncGenerator<ChatEvent> {
  try {
    yield* first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

/** The engine's events without `start`. Throws `EdgeFailure` when they end without a finish. */
async function* chatEvents(events: AsyncIterable<EdgeEvent>, onStart: (model: string) => void): AsyncGenerator<ChatEvent> {
  let cachedTokens = 0;
  for await (const event of events) {
    if (event.type === 'start') {
      onStart(event.model);
      cachedTokens = event.cachedTokens;
    } else if (event.type === 'delta') {
      yield { type: 'delta', content: event.content, reasoning: event.reasoning, logprobs: event.logprobs };
    } else if (event.type === 'finish') {
      const { promptTokens, completionTokens, reasoningTokens } = event;
      yield { type: 'finish', reason: event.reason, usage: { promptTokens, cachedTokens, completionTokens, reasoningTokens } };
      return;
    } else {
      throw new EdgeFailure(502, event.code, event.message);
    }
  }
  throw new EdgeFailure(502, 'edge_disconnected', "The edge model's answer broke off.");
}

/** A chat request in the engine's words. Everything the edge model cannot do was sorted out by the routing rules. */
export function edgeRequest(call: EdgeCall): EdgeRequest {
  const { body } = call.request;
  return {
    id: call.id,
    messages: body.messages.map(edgeMessage),
    templateOptions: templateOptions(body),
    sampling: sampling(body),
    maxTokens: call.features.maxTokens,
    capTokens: call.limits.edgeMaxTokens,
    maxPromptTokens: call.limits.edgeMaxPromptTokens,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    topLogprobs: body.logprobs ? (body.top_logprobs ?? 0) : null,
    cacheScope: call.cacheScope,
  };
}

function edgeMessage(message: ChatMessage): EdgeMessage {
  const { content } = message;
  return {
    role: message.role as EdgeMessage['role'],
    content: typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join(''),
    name: message.name ?? undefined,
    reasoning_content: message.reasoning_content ?? undefined,
    tool_calls: message.tool_calls ?? undefined,
    tool_call_id: message.tool_call_id ?? undefined,
  };
}

function templateOptions(body: ChatParameters): Record<string, unknown> {
  const thinking = thinkingSwitch(body);
  return { ...body.chat_template_kwargs, ...(thinking === null ? {} : { enable_thinking: thinking }) };
}

function sampling(body: ChatParameters): EdgeSampling {
  return {
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    // Servers write "no limit" as -1 or 0.
    topK: body.top_k == null ? undefined : Math.max(0, body.top_k),
    minP: body.min_p ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    seed: body.seed ?? undefined,
    logitBias: body.logit_bias ?? undefined,
  };
}
