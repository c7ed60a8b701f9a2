import { type LogprobEntry, OutputText, type ReasoningSplitting, type TextDecoding, type TokenText } from './output-text.ts';
import type { PromptPrefix } from './prefix-cache.ts';
import { Sampler, type Sampling } from './sampling.ts';
import { SequenceDecoder } from './sequence-decoder.ts';
import type { HeadAnswer, HeadQuery, Stage } from './stage.ts';

/** Most tokens of a prompt in one step: a longer one would keep the event loop, and other sessions, waiting. */
export const PREFILL_CHUNK = 32;

/** The tokenizer's side of a generation. */
export interface GenerateTokenizer extends TokenText {
  /** A decoder for one answer. */
  decoder(): TextDecoding;
}

export interface GenerateOptions {
  sampling: Sampling;
  /** At least 1. */
  maxTokens: number;
  /** Longest sequence, prompt and answer together. */
  contextLength: number;
  /** Any of these ends the answer and is not part of its text. */
  stopIds: number[];
  /** Any of these ends the answer right before it. */
  stop: string[];
  /** Alternatives per token, 0 for the sampled token's own logprob only, null for no logprobs. */
  topLogprobs: number | null;
  /** For answers that begin inside a thinking block; null when nothing is split. */
  splitter: ReasoningSplitting | null;
  /** What a prefix cache knows of the prompt, from opening the session; absent for an empty session. */
  prefix?: PromptPrefix;
  /** Most tokens of the prompt in one step; default: PREFILL_CHUNK. More of them keep several stages of a pipeline busy. */
  prefillChunk?: number;
  /** Tokens of the sequence that memory was set aside for, to be set aside for whatever session goes on with it; absent: none. */
  reserved?: number;
  /** Whether it pays at this moment to draft tokens and verify several in one step: the answer is the same, to the bit. Absent: never. */
  speculate?: () => boolean;
}

export type GenerateEvent =
  /** `tokens` counts all tokens generated so far, held-back ones included. */
  | { type: 'text'; content: string; reasoning: string; tokens: number; logprobs: LogprobEntry[] | null }
  /** Last event. Tokens include the one that ended the answer. */
  | { type: 'finish'; reason: 'stop' | 'length'; tokens: number; reasoningTokens: number };

/**
 * Generates an answer to a prompt: prefill in chunks, then one token a step, until a stop id, a stop string, `maxTokens` or the context's end.
 * @param session open in `stage`, and empty or as `options.prefix` says; the caller closes it, also after a throw
 * @param promptIds at least one token, fewer than `contextLength`
 * @throws the signal's reason when aborted; whatever the stage throws
 */
export async function* generate(
  stage: Stage,
  tokenizer: GenerateTokenizer,
  session: string,
  promptIds: number[],
  options: GenerateOptions,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent, void, void> {
  const sampler = new Sampler(options.sampling, promptIds, options.topLogprobs);
  const output = new OutputText(tokenizer, tokenizer.decoder(), options.splitter, options.stop, options.topLogprobs !== null);
  const stopIds = new Set(options.stopIds);
  const query = sampler.query();
  const answer = await prefill(stage, session, promptIds, query, signal, options);
  const decoder = new SequenceDecoder(stage, session, promptIds, sampler, { query, answer }, options, signal);
  let reasoningTokens = 0;

  try {
    for (let tokens = 1; ; tokens++) {
      const choice = await decoder.choose();
      signal.throwIfAborted();
      const stopId = stopIds.has(choice.id);
      if (!stopId) {
        const text = output.push(choice);
        if (text.content || text.reasoning) yield { type: 'text', ...text, tokens };
      }
      if (output.thinking) reasoningTokens = tokens;
      const stopped = stopId || output.stopped;
      if (stopped || tokens >= options.maxTokens || promptIds.length + tokens >= options.contextLength) {
        const rest = output.stopped ? null : output.end();
        if (rest && (rest.content || rest.reasoning || rest.logprobs?.length)) yield { type: 'text', ...rest, tokens };
        yield { type: 'finish', reason: stopped || output.stopped ? 'stop' : 'length', tokens, reasoningTokens };
        return;
      }
      await decoder.feed(choice.id);
    }
  } finally {
    await decoder.close();
  }
}

/** Chunks end where a state is to be kept, since only there is it that of so many tokens. */
async function prefill(
  stage: Stage,
  session: string,
  ids: number[],
  query: HeadQuery,
  signal: AbortSignal,
  { prefix, prefillChunk = PREFILL_CHUNK }: Pick<GenerateOptions, 'prefix' | 'prefillChunk'>,
): Promise<HeadAnswer> {
  const keepAt = [...(prefix?.keepAt ?? [])];
  let position = prefix?.cached ?? 0;
  for (;;) {
    const end = Math.min(position + prefillChunk, keepAt[0] ?? ids.length, ids.length);
    const chunk = ids.slice(position, end);
    if (end === ids.length) return stepWithHead(stage, session, position, chunk, query, signal);
    await stage.step([{ session, position, ids: chunk }], signal);
    position = end;
    if (position === keepAt[0]) await prefix?.keep(keepAt.shift()!);
  }
}

async function stepWithHead(
  stage: Stage,
  session: string,
  position: number,
  ids: number[],
  head: HeadQuery,
  signal: AbortSignal,
): Promise<HeadAnswer> {
  const [result] = await stage.step([{ session, position, ids, head }], signal);
  if (!result?.head) throw new Error('The stage answered without logits: it holds no head.');
  return result.head;
}
