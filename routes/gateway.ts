import type { ChatRequest } from './schema/chat.ts';

/** All that the HTTP surface knows of the product: it validates, calls this, and writes down what comes back. Every method may throw `ApiError`. */
export interface Gateway {
  /**
   * Lets a `/v1` call pass or throws: 401 for a missing or wrong key, 500 or 503 when the gateway is not configured.
   * @returns an opaque name of the caller, the same for all calls with one key
   */
  authorize(authorization: string | null): Promise<string>;
  /** Answers a chat request. For a stream it resolves when the first event is there, or after a while without one. */
  chat(request: ChatRequest, call: ChatCall): Promise<ChatAnswer>;
  /** Where a chat request would go, and why; nobody is asked. Throws what `chat` would throw. */
  route(request: ChatRequest, call: ChatCall): Promise<RouteReport>;
  models(): Promise<ModelInfo[]>;
  /** The model of that name, or null. */
  model(id: string): Promise<ModelInfo | null>;
  health(): Promise<Health>;
  ready(): Promise<Readiness>;
}

export interface ChatCall {
  /** The request's id, for log lines here and in the engine. */
  id: string;
  /** Who calls, as `authorize` named it. */
  caller: string;
  /** Aborts when the client has gone away: whatever works for this call must stop. */
  signal: AbortSignal;
  preferences: Preferences;
}

/** What a client wishes for the way its request takes: headers as they came, null where there is none. */
export interface Preferences {
  /** `x-nearside-policy` */
  policy: string | null;
  /** `x-nearside-max-ttft-ms` */
  maxTtftMs: string | null;
}

/** Who answers and why: becomes the x-nearside- headers. */
export interface ChatRoute {
  route: 'edge' | 'origin';
  /** Machine-readable reasons, most important first. */
  reasons: string[];
  /** The model that answers. */
  model: string;
  /** What was expected of each route, in one line. */
  estimate: string;
}

/** Answer of `POST /v1/route`. */
export interface RouteReport {
  route: 'edge' | 'origin';
  model: string;
  reasons: string[];
  /** Of each route that could be taken. */
  expected: { edge: RouteEstimate | null; origin: RouteEstimate | null };
  policy: string;
  /** The edge's first tokens would be held back and judged. */
  gate: boolean;
  /** Both routes would be asked. */
  race: boolean;
  /** What the decision went by, of the request. */
  features: Record<string, unknown>;
  /** The route that would be next; null when no other could be taken. */
  runner_up: { route: 'edge' | 'origin'; model: string } | null;
}

/** Times in milliseconds, money in US dollars, quality as the probability that the answer is good enough. */
export interface RouteEstimate {
  model: string;
  ttft_ms: { p50: number; p95: number };
  total_ms: { p50: number; p95: number };
  usd: number;
  quality: number;
  /** False: the quality rests on priors. */
  calibrated: boolean;
  output_tokens: { p50: number; p95: number };
}

export type ChatAnswer = ChatRoute & { body: ChatBody };

export type ChatBody =
  /** Edge: tokens to be written in OpenAI's shape. Ends with `finish`, or throws. */
  | { type: 'events'; fingerprint: string | null; events: AsyncIterable<ChatEvent> }
  /** Origin, streaming: whole server-sent events, passed on byte by byte, without the closing `[DONE]`. */
  | { type: 'sse'; events: AsyncIterable<SseBytes> }
  /** Origin, not streaming: a JSON body, passed on as it is. */
  | { type: 'json'; bytes: Uint8Array<ArrayBuffer> }
  /** Either, streaming: the response must begin before there is an answer. Who answers in the end may be another one than its headers say. */
  | { type: 'late'; answer: Promise<ChatAnswer> };

export type SseBytes =
  | { type: 'bytes'; bytes: Uint8Array }
  /** The answer is complete: `[DONE]` is due. A stream without it has failed and said so. */
  | { type: 'done' };

export type ChatEvent =
  | { type: 'delta'; content?: string; reasoning?: string; logprobs?: TokenLogprob[] }
  | { type: 'finish'; reason: 'stop' | 'length'; usage: Usage };

export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** Token counts of one answer. */
export interface Usage {
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  reasoningTokens: number;
}

export interface ModelInfo {
  id: string;
  /** Unix time, seconds. */
  created: number;
  ownedBy: string;
}

/** Answer of `/healthz`: for people and dashboards. */
export interface Health {
  status: 'ok' | 'misconfigured';
  version: string;
  [detail: string]: unknown;
}

/** Answer of `/readyz`: ready when at least one route can answer. */
export interface Readiness {
  ready: boolean;
  edge: string;
  origin: string;
  /** What stands in the way, when it is not a route. */
  reason?: string;
}
