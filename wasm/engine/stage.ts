/**
 * A Stage is the unit of the engine: a contiguous run of layers of one model, optionally with the token table and with the head (or a slice of the
 * vocabulary). One isolate holding everything is one stage; a pipeline over several isolates is several. Every method is asynchronous so that a
 * remote stage changes no caller, and every argument and result can be cloned across an RPC.
 */

/** Which part of a model a stage holds. */
export interface StageSpec {
  /** Layers first..last-1; first === last for a stage without layers. */
  layers: { first: number; last: number };
  /** Rows of the token table held for embedding, or null. */
  embed: { first: number; last: number } | null;
  /** Rows of the head held (a slice of the vocabulary), or null. For a tied model these are the token table's rows, stored once. */
  head: { first: number; last: number } | null;
}

/** Changes to the logits before sampling. They travel to the stage that holds the rows. OpenAI and vLLM semantics. */
export interface LogitAdjustment {
  /** Added to the logit of a token, OpenAI's logit_bias. */
  bias: [id: number, value: number][];
  /** Tokens generated so far with their counts: presence and frequency penalties apply to these. */
  generated: [id: number, count: number][];
  presencePenalty: number;
  frequencyPenalty: number;
  /** Divides positive and multiplies negative logits of `generated` and `prompt` tokens; 1 is off. */
  repetitionPenalty: number;
  /** Distinct prompt tokens; only needed when repetitionPenalty is not 1. */
  prompt: number[];
}

/** What a caller wants to know of the logits of one position. */
export interface HeadQuery {
  /** How many of the best tokens to return (of this slice). */
  candidates: number;
  adjust: LogitAdjustment | null;
  /**
   * Draw one token from the whole distribution at this temperature (> 0) by the Gumbel-max rule: argmax over the vocabulary of logit / temperature +
   * g(seed, step, id), with g a standard Gumbel from a hash of its arguments (gumbel.ts). The draw is the same however the vocabulary is sliced. Null: no draw.
   */
  draw: { seed: number; step: number; temperature: number } | null;
  /** Temperature (> 0) at which `HeadAnswer.logSumExp` is taken; 1 when absent. top_p without top_k needs the whole distribution's mass at the sampling temperature. */
  massTemperature?: number;
  /** How the caller will draw among the candidates; a slice of the vocabulary then sends the row of the token it expects along (`SliceAnswer.next`). */
  drawAmong?: { seed: number; step: number; temperature: number };
}

/** The head's answer for one position; never the whole vocabulary. */
export interface HeadAnswer {
  /** Best tokens by adjusted logit, descending, ties by lower id. Padding rows never appear. */
  ids: Int32Array;
  /** Adjusted logits of `ids`. */
  logits: Float32Array;
  /** Logits of `ids` before adjustment, for logprobs. */
  rawLogits: Float32Array;
  /** log(sum(exp(adjusted logit / massTemperature))) over this slice's rows. */
  logSumExp: number;
  /** log(sum(exp(logit))) before adjustment, always at temperature 1. */
  rawLogSumExp: number;
  /** The drawn token: its perturbed score decides between slices. Null when no draw was asked for. */
  drawn: { id: number; score: number; logit: number; rawLogit: number } | null;
}

/** One session's share of a step: consecutive positions of one sequence. */
export interface StepEntry {
  session: string;
  /** Position of the first token; must equal the number of tokens the session has seen. */
  position: number;
  /** Token ids (a stage with the token table) or hidden states [tokens, H] row-major (a stage without). Exactly one of them. */
  ids?: number[];
  hidden?: Float32Array;
  /** Asked of the last position only; needs a head. */
  head?: HeadQuery;
  /** Instead of `head`: one query for each of the last positions, to verify drafted tokens in one step. */
  heads?: HeadQuery[];
}

export interface StepResult {
  /** Hidden states [tokens, H] after this stage's last layer, when the stage has no head. */
  hidden: Float32Array | null;
  /** Present when the entry asked for it. */
  head: HeadAnswer | null;
  /** Answers to the entry's `heads`, in their order. */
  heads?: HeadAnswer[];
}

/** What the sessions of a stage may have of its memory. */
export interface SessionRoom {
  /** For all of them, when none is open. */
  bytes: number;
  /** Of these each takes so many, */
  slotBytes: number;
  /** and so many for each `pageTokens` that it has seen or are set aside for it; the last ones may be fewer. */
  pageBytes: number;
  pageTokens: number;
}

export interface StageMemory {
  /** Size of the WASM memory, bytes. */
  wasmBytes: number;
  /** Of which weights. */
  weightBytes: number;
  /** Of which the open sessions' KV cache and recurrent state. */
  sessionBytes: number;
  /** Null where nobody can tell: that of several stages. */
  room: SessionRoom | null;
}

export interface Stage {
  readonly spec: StageSpec;
  /** Opens an empty session. Throws `StageError` code `session_exists`, or `out_of_memory` when the budget does not allow it. */
  open(session: string): Promise<void>;
  /**
   * Opens `as` in the state `session` is in, sharing keys and values that neither will change: a few milliseconds, however long the session is. With `tokens`,
   * in the state after its first tokens, which a stage without recurrent layers still knows. Throws `StageError` `unknown_session`, `session_exists`, `out_of_memory`, or
   * `bad_input` when that state is gone; nothing has changed then.
   */
  fork(session: string, as: string, tokens?: number): Promise<void>;
  /** Bytes of the state of these sessions, without what is set aside; what several of them share counts once, and unknown ids count nothing. */
  bytesOf(sessions: string[]): Promise<number>;
  /**
   * Sets memory aside for sessions' first so many tokens, as far as the context goes, so that no step up to there fails for want of it. A fork does not have what was set aside. Throws
   * `StageError` `out_of_memory` or `unknown_session`, and then nothing has changed; of several stages, some may have set it aside, and the session is to be closed.
   */
  reserve(wanted: { session: string; tokens: number }[]): Promise<void>;
  /** Frees a session; unknown ids are ignored, so that closing twice is harmless. */
  close(session: string): Promise<void>;
  /**
   * Runs a batch: prefill chunks and decode steps of different sessions together. Yields to the event loop between layers and between slices of the
   * head. Results come in the batch's order. Throws `StageError` with code `unknown_session`, `wrong_position`, `context_limit` or `out_of_memory`,
   * before any state has changed; when `signal` aborts it throws the signal's reason at the next yield, after which the sessions of the batch must be closed.
   */
  step(batch: StepEntry[], signal?: AbortSignal): Promise<StepResult[]>;
  /** Answers another query about the last position of the session's last step (for instance more candidates). Needs a head. */
  head(session: string, query: HeadQuery): Promise<HeadAnswer>;
  /** The session's whole state (position, KV, recurrent and convolution state) as bytes of this engine version. */
  snapshot(session: string): Promise<Uint8Array>;
  /** Opens `session` in the state of a snapshot. Throws `StageError` code `bad_snapshot` if it is not one of this stage. */
  restore(session: string, snapshot: Uint8Array): Promise<void>;
  memory(): Promise<StageMemory>;
}

/** A head's answer for a slice of the vocabulary. Merged by `mergeSlices` into what one head would have said, to the bit. */
export interface SliceAnswer extends HeadAnswer {
  /** `logSumExp` and `rawLogSumExp` of the pieces the slice was computed in, in the order of their rows: one sum of all is rounded the same however they are grouped. */
  sums: number[];
  rawSums: number[];
  /** The token of this slice that is most likely the next one, with its row of the token table [H]: the next step then needs no look-up. Null where it is not held. */
  next: { id: number; row: Float32Array } | null;
}

/**
 * A stage as a pipeline (pipeline/pipeline-stage.ts) wants it: layers without token table and head, or a slice of the vocabulary without layers, which knows no
 * sessions and is asked by `answer`.
 */
export interface PipelineMember extends Omit<Stage, 'head'> {
  /** Rows of the token table [ids, H]. Throws `StageError` `bad_input` for one that is not held. */
  embed(ids: number[]): Promise<Float32Array>;
  /** What the held rows of the head say of hidden states [queries, H]. */
  answer(hidden: Float32Array, queries: HeadQuery[]): Promise<SliceAnswer[]>;
}

export type StageErrorCode =
  | 'session_exists'
  | 'unknown_session'
  | 'wrong_position'
  | 'context_limit'
  | 'out_of_memory'
  | 'bad_snapshot'
  | 'cancelled'
  | 'bad_input';

export class StageError extends Error {
  readonly code: StageErrorCode;
  constructor(code: StageErrorCode, message: string) {
    super(message);
    this.name = 'StageError';
    this.code = code;
  }
}
