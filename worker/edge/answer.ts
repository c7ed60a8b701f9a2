import type { EncodedPrompt } from '../../models/template/chat-template.ts';
import type { ChatMessage } from '../../models/template/message.ts';
import { ReasoningSplitter } from '../../models/template/reasoning.ts';
import { TemplateError } from '../../models/template/template-error.ts';
import { type GenerateEvent, generate } from '../../wasm/engine/generate.ts';
import { resolveSampling } from '../../wasm/engine/sampling.ts';
import { StageError } from '../../wasm/engine/stage.ts';
import type { Engine } from './engine.ts';
import { promptBoundaries } from './prompt-boundaries.ts';
import type { EdgeEvent, EdgeRequest } from './protocol.ts';
import { RefusalError } from './refusal.ts';

/** A prompt that was checked and fits. */
export interface Prompt {
  ids: number[];
  /** The prompt ends inside a thinking block. */
  thinking: boolean;
  /** Numbers of tokens after which other prompts go on differently. */
  boundaries: number[];
}

/** No vocabulary that is known has a longer token, characters. */
const LONGEST_TOKEN = 256;

/** Turns messages into ids. Throws a `RefusalError` when the template rejects them, the prompt is too long, or this model cannot do what is asked. */
export function preparePrompt(engine: Engine, request: EdgeRequest): Prompt {
  const { config, tokenCount } = engine.manifest;
  const limit = Math.min(request.maxPromptTokens ?? config.contextLength, config.contextLength - 1);
  refuseHopeless(request, limit);
  if (request.templateOptions.enable_thinking === true && engine.manifest.thinkingDefault === null) {
    throw new RefusalError(
      'bad_request',
      'The edge model cannot think: leave out reasoning_effort and enable_thinking, or switch them off.',
      { param: 'reasoning_effort' },
    );
  }
  const unknownToken = Object.keys(request.sampling.logitBias ?? {}).find((id) => Number(id) >= tokenCount);
  if (unknownToken)
    throw new RefusalError('bad_request', `logit_bias: ${unknownToken} is no token of the edge model, which has ${tokenCount}.`, {
      param: 'logit_bias',
    });
  const { ids, thinking } = encode(engine, request);
  if (ids.length > limit) {
    throw new RefusalError(
      'prompt_too_long',
      `The prompt has ${ids.length} tokens, and this model's maximum context length is ${limit} tokens here.`,
      {
        promptTokens: ids.length,
      },
    );
  }
  if (ids.length === 0)
    throw new RefusalError('bad_request', 'The chat template makes an empty prompt of these messages.', { promptTokens: 0 });
  return { ids, thinking, boundaries: request.cacheScope ? promptBoundaries(engine.template, request, ids) : [] };
}

/** What cannot fit is not worth tokenizing: megabytes of text, or very many turns, would keep everyone waiting. */
function refuseHopeless({ messages, templateOptions }: EdgeRequest, limit: number): void {
  const characters = textLength([messages, templateOptions]);
  const what =
    characters > limit * LONGEST_TOKEN ? `${characters} characters` : messages.length > limit ? `${messages.length} messages` : null;
  if (what) throw new RefusalError('prompt_too_long', `The prompt has ${what}; the edge model takes ${limit} tokens here.`);
}

/**
 * Characters that a template may write of JSON values: all of strings and keys, one at least for any other value. No recursion, as they may be nested deeper than that goes.
 * @param rest is emptied
 */
function textLength(rest: unknown[]): number {
  let length = 0;
  while (rest.length > 0) {
    const value = rest.pop();
    if (typeof value === 'string') length += value.length;
    else if (typeof value !== 'object' || value === null) length += 1;
    else {
      if (!Array.isArray(value)) for (const key of Object.keys(value)) length += key.length;
      for (const item of Object.values(value)) rest.push(item);
    }
  }
  return length;
}

function encode(engine: Engine, request: EdgeRequest): EncodedPrompt {
  try {
    return engine.template.encode(request.messages as ChatMessage[], { variables: request.templateOptions });
  } catch (error) {
    // Arguments of tool calls are JSON in a string, which nobody has looked into before.
    if (error instanceof RangeError || (error as Error).cause instanceof RangeError)
      throw new RefusalError('bad_request', 'The messages have values that are nested too deeply.');
    if (error instanceof TemplateError) throw new RefusalError('bad_request', error.message);
    throw error;
  }
}

/**
 * The events of one answer, from `start` to `finish`. Leaving the generator early frees the session; when `finish` comes it is free.
 * @param place how it got its place, for the first event; asked when it has its memory, too
 * @param alone whether no other answer is running now
 * @throws the signal's reason when aborted; what the engine throws
 */
export async function* answer(
  engine: Engine,
  request: EdgeRequest,
  prompt: Prompt,
  place: () => Pick<Extract<EdgeEvent, { type: 'start' }>, 'queueMs' | 'cold' | 'figures'>,
  alone: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<EdgeEvent, void, void> {
  const { manifest, tokenizer, scheduler, memory } = engine;
  const promptTokens = prompt.ids.length;
  const { contextLength } = manifest.config;
  const maxTokens = request.maxTokens ?? request.capTokens ?? Number.POSITIVE_INFINITY;
  const reserved = Math.min(contextLength, promptTokens + maxTokens);
  const { taken, leave } = await memory.enter(reserved, () => openSession(engine, request, prompt, reserved), signal);
  const { session, prefix } = taken;
  let last: EdgeEvent | null = null;
  try {
    yield { type: 'start', model: manifest.name, promptTokens, cachedTokens: prefix.cached, ...place() };
    const options = {
      sampling: resolveSampling(request.sampling, manifest.sampling, randomSeed()),
      maxTokens,
      contextLength,
      reserved,
      stopIds: manifest.eosIds,
      stop: request.stop,
      topLogprobs: request.topLogprobs,
      splitter: prompt.thinking ? new ReasoningSplitter(true) : null,
      prefix,
      speculate: alone,
      prefillChunk: engine.prefillChunk,
    };
    for await (const event of generate(scheduler, tokenizer, session, prompt.ids, options, signal)) {
      if (event.type === 'text') yield delta(event);
      else last = finish(event, request, promptTokens, engine);
    }
  } finally {
    await scheduler.close(session).finally(leave);
  }
  if (last) yield last;
}

/** A session with memory for so many tokens, in the state after what of the prompt is cached. Throws `out_of_memory`, and then there is none. */
async function openSession({ scheduler, prefixCache }: Engine, request: EdgeRequest, prompt: Prompt, reserved: number) {
  // A client may send the same request id twice.
  const session = crypto.randomUUID();
  try {
    const prefix = await prefixCache.open(session, prompt.ids, request.cacheScope ?? null, prompt.boundaries);
    await scheduler.reserve([{ session, tokens: reserved }]);
    return { session, prefix };
  } catch (error) {
    await scheduler.close(session);
    throw error;
  }
}

function delta({ content, reasoning, tokens, logprobs }: Extract<GenerateEvent, { type: 'text' }>): EdgeEvent {
  return { type: 'delta', ...(content && { content }), ...(reasoning && { reasoning }), tokens, ...(logprobs && { logprobs }) };
}

function finish(event: Extract<GenerateEvent, { type: 'finish' }>, request: EdgeRequest, promptTokens: number, engine: Engine): EdgeEvent {
  const capped = request.maxTokens === null && request.capTokens !== null && event.tokens >= request.capTokens;
  return {
    type: 'finish',
    reason: event.reason,
    cap: event.reason === 'length' && capped,
    promptTokens,
    completionTokens: event.tokens,
    reasoningTokens: event.reasoningTokens,
    rates: engine.scheduler.rates,
  };
}

/** What a client is told of an engine that failed mid-answer. */
export const failure = (error: unknown): EdgeEvent => ({
  type: 'error',
  code: error instanceof StageError ? error.code : 'engine_failed',
  message: error instanceof Error ? error.message : String(error),
});

const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0]!;
