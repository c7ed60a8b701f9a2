import { ApiError } from '../../routes/errors.ts';
import type { ChatEvent } from '../../routes/gateway.ts';
import type { ChatParameters, ChatRequest } from '../../routes/schema/chat.ts';
import type { ChatMessage } from '../../routes/schema/message.ts';
import { thinkingSwitch } from '../features.ts';
import type { EdgeFigures } from '../routing/figures.ts';
import { type GateVerdict, gateAlternatives } from '../routing/gate.ts';
import type { Features, Gate, Limits, Refusal } from '../routing/types.ts';
import { asAsked, HeldBack } from './held-back.ts';
import type { EdgeClient, EdgeEvent, EdgeMessage, EdgeRequest, EdgeSampling } from './protocol.ts';
import { type EdgeAnswered, EdgeTally } from './tally.ts';

export interface EdgeCall {
  request: ChatRequest;
  features: Features;
  limits: Limits;
  id: string;
  /** With whom this call shares evaluated prompt prefixes; null for nobody. */
  cacheScope: string | null;
  /** The client's signal. */
  signal: AbortSignal;
  /** The answer's beginning is held back until this lets it pass; null: it is sent as it comes. */
  gate: Gate | null;
  /** Told what the engine says of its load, beside whatever it says. */
  saw(figures: EdgeFigures | undefined): void;
  /** Asked when the prompt has been counted and nothing evaluated yet: whether the edge shall go on. */
  goesOn(start: EdgeStart): boolean;
  /** Told once what came of an answer that had begun. */
  ended(answered: EdgeAnswered): void;
}

export type EdgeStart = Extract<EdgeEvent, { type: 'start' }>;

/**
 * Accepted: the engine's own name for its model, and the answer. Refused: nothing was generated, or nothing that anyone has seen. Left: it was not to go on.
 */
export type EdgeOutcome =
  | { outcome: 'accepted'; model: string; events: AsyncIterable<ChatEvent> }
  | { outcome: 'refused'; refusal: Refusal }
  | { outcome: 'left' };

/** The engine stopped in the middle of an answer. */
export class EdgeFailure extends ApiError {
  override readonly name = 'EdgeFailure';
}

const lowGate: Refusal = {
  code: 'low_gate',
  message: "The edge model's answer began with too little confidence.",
  promptTokens: null,
  retryAfter: null,
};

/**
 * Asks the edge model. Resolves when a stream's first tokens are there and may be sent, or when the whole answer is, so that an engine that fails or is given up
 * before that has refused, and another route may be tried. Throws the signal's reason when the client left.
 */
export async function callEdge(client: EdgeClient, call: EdgeCall): Promise<EdgeOutcome> {
  const giveUp = new AbortController();
  const signal = AbortSignal.any([call.signal, giveUp.signal]);
  const tally = new EdgeTally(call.ended);
  const answer = await client.generate(edgeRequest(call), signal);
  if (!answer.accepted) {
    call.saw(answer.figures);
    const { refused: code, message, promptTokens, retryAfter, param } = answer;
    return { outcome: 'refused', refusal: { code, message, promptTokens, retryAfter, param } };
  }
  const events = answer.events[Symbol.asyncIterator]() as AsyncIterator<EdgeEvent, void>;
  const leave = async () => {
    giveUp.abort(new Error('The request goes to the origin.'));
    await events.return?.().catch(() => {});
  };
  try {
    const start = await startOf(events);
    tally.see(start);
    call.saw(start.figures);
    if (!call.goesOn(start)) {
      await leave();
      return { outcome: 'left' };
    }
    const answering = chatEvents(events, start, tally, call);
    const first = await beginning(answering, call);
    if (first) return { outcome: 'accepted', model: start.model, events: resume(first, answering, call) };
    tally.close('escalated');
    await leave();
    return { outcome: 'refused', refusal: lowGate };
  } catch (error) {
    tally.close(signal.aborted ? 'cancelled' : 'failed');
    if (!(error instanceof EdgeFailure)) throw error;
    return { outcome: 'refused', refusal: { code: 'model_unavailable', message: error.message, promptTokens: null, retryAfter: null } };
  }
}

async function startOf(events: AsyncIterator<EdgeEvent, void>): Promise<EdgeStart> {
  const { value } = await events.next();
  if (value?.type === 'start') return value;
  throw value?.type === 'error' ? new EdgeFailure(502, value.code, value.message) : brokenOff();
}

/** What may be sent first: as soon as the gate lets it pass, and a token is there; or the whole answer. Null when the gate does not let it pass. */
async function beginning(events: AsyncIterator<ChatEvent, void>, { gate, request }: EdgeCall): Promise<ChatEvent[] | null> {
  const held = gate && new HeldBack(gate);
  const first: ChatEvent[] = [];
  let verdict: GateVerdict = held ? 'wait' : 'accept';
  for (let next = await events.next(); !next.done; next = await events.next()) {
    first.push(next.value);
    if (held && verdict === 'wait') verdict = held.see(next.value);
    if (verdict === 'escalate') return null;
    if (request.stream && verdict === 'accept') break;
  }
  return first;
}

async function* resume(first: ChatEvent[], rest: AsyncGenerator<ChatEvent, void>, call: EdgeCall): AsyncGenerator<ChatEvent> {
  const asked = askedLogprobs(call.request.body);
  const isMore = call.gate !== null && engineLogprobs(call) !== asked;
  try {
    if (!isMore) {
      yield* first;
      yield* rest;
      return;
    }
    for (const event of first) yield asAsked(event, asked);
    for await (const event of rest) yield asAsked(event, asked);
  } finally {
    await rest.return();
  }
}

/** The engine's events after `start`. Throws `EdgeFailure` when they end without a finish. */
async function* chatEvents(
  events: AsyncIterator<EdgeEvent, void>,
  { cachedTokens }: EdgeStart,
  tally: EdgeTally,
  { saw, signal }: EdgeCall,
): AsyncGenerator<ChatEvent, void> {
  try {
    for await (const event of { [Symbol.asyncIterator]: () => events }) {
      tally.see(event);
      if (event.type === 'delta') {
        yield { type: 'delta', content: event.content, reasoning: event.reasoning, logprobs: event.logprobs };
      } else if (event.type === 'finish') {
        saw(event.figures);
        const { promptTokens, completionTokens, reasoningTokens } = event;
        yield { type: 'finish', reason: event.reason, usage: { promptTokens, cachedTokens, completionTokens, reasoningTokens } };
        return tally.close(event.reason);
      } else if (event.type === 'error') {
        throw new EdgeFailure(502, event.code, event.message);
      }
    }
    throw brokenOff();
  } catch (error) {
    tally.close(signal.aborted ? 'cancelled' : 'failed');
    throw error;
  } finally {
    // Whoever stops reading before the end has left.
    tally.close('cancelled');
  }
}

const brokenOff = () => new EdgeFailure(502, 'edge_disconnected', "The edge model's answer broke off.");

/** Alternatives per token that the client asked for; null for no logprobs. */
const askedLogprobs = (body: ChatParameters): number | null => (body.logprobs ? (body.top_logprobs ?? 0) : null);

/** The same of the engine: the gate may want more. */
function engineLogprobs({ request, gate }: EdgeCall): number | null {
  const asked = askedLogprobs(request.body);
  return gate ? Math.max(asked ?? 0, gateAlternatives(gate)) : asked;
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
    topLogprobs: engineLogprobs(call),
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
