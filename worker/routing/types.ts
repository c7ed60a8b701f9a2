/** What the rules know of a request. */
export interface Features {
  /** The model the client asked for. */
  model: string;
  /** UTF-8 bytes of the messages' text. */
  promptBytes: number;
  /** Tokens the client allows for the answer (max_completion_tokens wins over max_tokens), null when it set no limit. */
  maxTokens: number | null;
  /** The parameter that set `maxTokens`. */
  maxTokensParam: 'max_completion_tokens' | 'max_tokens';
  /** What the edge model cannot do at all, in the order found. */
  obstacles: Obstacle[];
  /** The client asked for thinking: the edge model can, but an origin does it better. */
  thinking: boolean;
  /** The conversation contains tool calls or their results. */
  toolHistory: boolean;
}

/** A part of the request that the edge model cannot serve. */
export interface Obstacle {
  reason: 'not_text' | 'tools' | 'response_format' | 'n' | 'unsupported_parameter';
  /** The parameter at fault, as a path. */
  param: string;
}

/** What is known of the two routes while a request is being placed. */
export interface RoutingState {
  /** Null: this gateway has no edge model. */
  edge: EdgeState | null;
  /** Null: this gateway has no origin. */
  origin: OriginState | null;
}

export interface EdgeState {
  /** Null: not known, because the engine could not be asked; there is a refusal then. */
  model: string | null;
  refusal: Refusal | null;
}

export interface OriginState {
  model: string;
  failure: Failure | null;
}

/** The edge was asked and refused. */
export interface Refusal {
  code: 'prompt_too_long' | 'queue_full' | 'model_unavailable' | 'bad_request';
  message: string;
  promptTokens: number | null;
  /** Seconds. */
  retryAfter: number | null;
}

/** The origin was asked and could not answer. */
export interface Failure {
  /** HTTP status a client gets when nobody else can answer. */
  status: number;
  code: string;
  message: string;
  /** Seconds. */
  retryAfter: number | null;
}

export interface Limits {
  /** Longest prompt the edge takes, tokens. */
  edgeMaxPromptTokens: number;
  /** Longest answer the edge gives, tokens. */
  edgeMaxTokens: number;
}

/** Where a request goes. `reasons` are machine-readable, most important first. */
export type Decision =
  | { route: 'edge'; model: string; reasons: string[] }
  | { route: 'origin'; model: string; reasons: string[] }
  | {
      route: 'none';
      status: number;
      code: string;
      /** One sentence for the client. */
      message: string;
      param: string | null;
      reasons: string[];
      /** Seconds after which a retry makes sense; null when it does not. */
      retryAfter: number | null;
    };
