import type { Calibration } from '../../models/capability/calibration.ts';
import type { EdgeFigures } from '../routing/figures.ts';

/**
 * What the gateway and the engine Worker say to each other. The gateway POSTs an `EdgeRequest` as JSON to the `EdgeModel` object's stub (`/generate`);
 * the object answers 200 with `EdgeEvent`s as newline-delimited JSON, or refuses with a 4xx/5xx and an `EdgeRefusal` before anything was generated.
 */

/** A chat message as the template wants it: contents are plain text, tool calls are passed as the client sent them. */
export interface EdgeMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: string;
  name?: string;
  reasoning_content?: string;
  tool_calls?: unknown[];
  tool_call_id?: string;
}

/** Sampling a client asked for; what is absent takes the model's recommended value from its pack. */
export interface EdgeSampling {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  repetitionPenalty?: number;
  seed?: number;
  logitBias?: Record<string, number>;
}

export interface EdgeRequest {
  /** The request's id, for the engine's own log lines. */
  id: string;
  messages: EdgeMessage[];
  /** Passed to the chat template, e.g. { enable_thinking: true }. */
  templateOptions: Record<string, unknown>;
  sampling: EdgeSampling;
  /** Tokens the client allows; null when it set no limit. */
  maxTokens: number | null;
  /** The gateway's cap on generated tokens (NEARSIDE_EDGE_MAX_TOKENS); null for none. Applies when `maxTokens` is null. */
  capTokens: number | null;
  /** Longest prompt to accept, in tokens (NEARSIDE_EDGE_MAX_PROMPT_TOKENS); null for the model's context only. */
  maxPromptTokens: number | null;
  /** Up to four stop strings; they are not part of the answer. */
  stop: string[];
  /** Number of alternatives per token, 0 for the sampled token's own logprob only, null for no logprobs. */
  topLogprobs: number | null;
  /**
   * Requests of one scope share evaluated prompt prefixes. A hit is faster, so whoever shares a scope can find out by timing what others have sent: by default a
   * scope is one API key. Null or absent: nothing is looked up or kept.
   */
  cacheScope?: string | null;
}

/** OpenAI's logprobs entry. `bytes` are the token's UTF-8 bytes, which may be part of a character. */
export interface EdgeLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** Measured rates of the engine, tokens per second, null until measured. Piggybacked on replies so that no extra hop is needed. */
export interface EdgeRates {
  prefill: number | null;
  decode: number | null;
}

export type EdgeEvent =
  /** First event: the prompt was accepted and has `promptTokens` tokens, of which the first `cachedTokens` need no evaluation. Sent before prefill. */
  | {
      type: 'start';
      model: string;
      promptTokens: number;
      cachedTokens: number;
      /** Milliseconds of waiting for a place to run in, and for the model to load: `cold` when it had to be loaded. */
      queueMs: number;
      cold?: boolean;
      /** The engine's load now, this request included. Absent from engines of older versions, here and below. */
      figures?: EdgeFigures;
    }
  /** Text that will not change any more. `tokens` counts all tokens generated so far, held-back ones included. */
  | { type: 'delta'; content?: string; reasoning?: string; tokens: number; logprobs?: EdgeLogprob[] }
  /** Last event. `cap` is true when `capTokens`, not the client's limit, ended the answer. */
  | {
      type: 'finish';
      reason: 'stop' | 'length';
      cap: boolean;
      promptTokens: number;
      completionTokens: number;
      reasoningTokens: number;
      rates: EdgeRates;
      /** The engine's load now, without this request. */
      figures?: EdgeFigures;
    }
  /** Last event instead of `finish`: the engine failed mid-answer. */
  | { type: 'error'; code: string; message: string };

export type EdgeRefusalCode =
  /** The prompt is longer than `maxPromptTokens` or leaves no room in the context. */
  | 'prompt_too_long'
  /** The bounded queue is full. */
  | 'queue_full'
  /** No pack, or it could not be loaded. */
  | 'model_unavailable'
  /** The request cannot be served as asked, e.g. the template rejects the messages. */
  | 'bad_request';

export interface EdgeRefusal {
  refused: EdgeRefusalCode;
  message: string;
  /** Exact number of prompt tokens where it is known. */
  promptTokens: number | null;
  /** Seconds after which a retry makes sense, for `queue_full` and `model_unavailable`. */
  retryAfter: number | null;
  /** The parameter of the client's request that is at fault, for `bad_request`; absent or null: the messages. */
  param?: string | null;
  figures?: EdgeFigures;
}

/** `GET /status` of the object. */
export interface EdgeStatus {
  model: string;
  /** Random weights: answers are noise. */
  fixture: boolean;
  state: 'cold' | 'loading' | 'ready' | 'failed';
  /** Why the load failed. */
  error: string | null;
  quantization: string | null;
  running: number;
  queued: number;
  queueLimit: number;
  contextLength: number | null;
  loadMs: number | null;
  /** Bytes; `sessionBytes` are those of running answers, `cacheBytes` those of cached prefixes. */
  memory: { wasmBytes: number; weightBytes: number; sessionBytes: number; cacheBytes: number } | null;
  rates: EdgeRates;
  /** How likely the model's answers are to be good; null where nothing can be said: random weights, no pack, or an engine that does not tell. */
  calibration: Calibration | null;
  figures?: EdgeFigures;
}

/** What the gateway calls. Implemented over the Durable Object stub by worker/edge/client.ts. */
export interface EdgeClient {
  /** Aborting `signal` stops the engine within one step, before and during the stream. Never throws for a refusal. */
  generate(request: EdgeRequest, signal: AbortSignal): Promise<EdgeAnswer>;
  status(): Promise<EdgeStatus>;
}

export type EdgeAnswer = { accepted: true; events: AsyncIterable<EdgeEvent> } | ({ accepted: false } & EdgeRefusal);
