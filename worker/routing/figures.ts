/**
 * What is measured and configured, as it reaches `worker/routing` from outside. Figures may come from another process, may be old, and may be wrong: only
 * `estimate.ts` reads them. Times are milliseconds, instants milliseconds since the epoch, rates tokens per second, money US dollars.
 */

/** Figures, and when they were true. */
export interface Snapshot<T> {
  values: T;
  asOf: number;
}

/** What `EdgeModel` says of itself, beside its replies. Whatever is absent or null is not known. */
export interface EdgeFigures {
  /** Tokens per second of a prompt as one session sees it. */
  prefill?: number | null;
  /** Tokens per second of an answer as one session sees it, while `decodeBatch` sessions shared the turns (null: one). */
  decode?: number | null;
  decodeBatch?: number | null;
  running?: number | null;
  queued?: number | null;
  /** Requests that run at once at most. */
  slots?: number | null;
  /** Mean time of a whole answer lately, milliseconds. */
  serviceMs?: number | null;
  /** The weights are in memory. */
  warm?: boolean | null;
  /** What loading them took, milliseconds. */
  loadMs?: number | null;
  /** From the gateway to the engine and back, milliseconds. */
  roundTripMs?: number | null;
  /** Part of the gated answers that were given up for the origin, 0..1. */
  escalationRate?: number | null;
  /** Quantiles of actual ÷ predicted time, from `learning.ts`. */
  ttftSpread?: Spread | null;
  totalSpread?: Spread | null;
}

/** What is seen of a pool: by the pool itself, its monitor and `learning.ts`. Whatever is absent or null is not known. */
export interface OriginFigures {
  /** The network's part of a request, milliseconds. */
  roundTripMs?: number | null;
  /** Time to first token of a request that does not wait: a fixed part, and a part per token of prompt, milliseconds. */
  ttftBaseMs?: number | null;
  ttftMsPerToken?: number | null;
  /** Milliseconds per token of an answer. */
  tpotMs?: number | null;
  /** Requests that wait and that run, on all nodes. */
  waiting?: number | null;
  running?: number | null;
  /** Requests that the nodes run at once, all together. */
  slots?: number | null;
  /** Part of the capacity in use, 0..1: of the KV cache, or running ÷ slots. */
  use?: number | null;
  /** Mean time of a whole answer lately, milliseconds. */
  serviceMs?: number | null;
  /** Scaled to zero, as far as anyone has seen. False: somebody answered, or was looked at and is there. */
  cold?: boolean | null;
  /** True: somebody's request was being answered there at that time. */
  busy?: boolean | null;
  /** Of the answers that came when nobody had been heard of for longer than a node is kept, the part that had to wait for a start, 0..1. */
  asleep?: number | null;
  /** A request sent now waits for others' whole answers. */
  saturated?: boolean | null;
  /** Every node has failed and is left out for a while. */
  out?: boolean | null;
  /** No node answers, and to find that out again would cost a timeout. */
  hanging?: boolean | null;
  /** Requests per second that only an origin may answer, and such as the edge or this pool may answer, whoever did; of all gateways where this is known. */
  committedPerSecond?: number | null;
  freePerSecond?: number | null;
  ttftSpread?: Spread | null;
  totalSpread?: Spread | null;
}

/** Factors of a prediction: half of what happens is below `p50` times it, 95 % below `p95` times it. */
export interface Spread {
  p50: number;
  p95: number;
}

/** One snapshot, or several, of which each figure is taken from the first that has it. */
export type Seen<T> = Snapshot<T> | Snapshot<T>[] | null;

/** How the place is paid where the edge model runs. */
export type EdgePrice =
  /** CPU time (Workers). */
  | { by: 'cpu'; usdPerCpuMs: number; usdPerRequest: number }
  /** Memory for as long as a request is there, in each of `objects` (Durable Objects: 0.128 GB each; requests at once share it). */
  | { by: 'duration'; usdPerGbSecond: number; gb: number; objects: number; usdPerRequest: number }
  /** CPU time in use, and memory for as long as a request is there (containers). */
  | { by: 'vcpu'; usdPerVcpuSecond: number; vcpus: number; usdPerGibSecond: number; gib: number; usdPerRequest: number }
  /** Own hardware: its hour, for the time that a request keeps it busy. */
  | { by: 'hour'; usdPerHour: number };

/** How an origin is paid. */
export type OriginPrice =
  /** Dollars per million tokens. */
  { by: 'tokens'; input: number; output: number } | GpuPrice;

/** GPUs by the hour, see `originUsd` for what a request is charged. */
export interface GpuPrice {
  by: 'gpu-hour';
  /** Of one node. */
  usdPerHour: number;
  /** Requests that a node runs at once. */
  slots: number;
  /** From the first request to a node's first token, seconds. */
  startSeconds: number;
  /** A node without work is kept for so long, seconds; null: the pool is never scaled to zero. */
  keepSeconds: number | null;
  /** Nodes are added when those there are full. False: whoever comes then waits. */
  scalesOut: boolean;
  /** Nobody has set it. */
  assumed?: true;
}

/** A prediction that does not depend on the answer's length: n tokens take `beforeMs` + n · `tokenMs`, and the first one token's. Without spread and without starts. */
export interface Line {
  beforeMs: number;
  tokenMs: number;
}

/** What happened to a request that a decision had been made for. What is null is not known. */
export interface Outcome {
  at: number;
  /** The API key's id: whatever the gateway tells keys apart by; never the key. */
  key: string;
  /** `Features.kind`. */
  kind: string;
  route: 'edge' | 'origin';
  /** The pool's or the edge's model. */
  model: string;
  /** `Expected.line` of the chosen route. */
  predicted: Line | null;
  /** From the request's arrival at the route. Null where it was not a stream. */
  ttftMs: number | null;
  totalMs: number;
  promptTokens: number;
  /** Of these, not evaluated. */
  cachedTokens: number;
  completionTokens: number;
  /** The edge's first tokens were held back and judged. */
  gated: boolean;
  /** `length`: cut off, so the answer would have been longer; of `failed` and `cancelled` nothing is learnt but that there was a request. */
  end: 'stop' | 'length' | 'escalated' | 'cancelled' | 'failed';
  /** The pool that was chosen or could have been (`expected.origin`), and whether the edge could have answered as well. Null, false: no pool. */
  pool: string | null;
  free: boolean;
  /** The only regions whose nodes could answer it, as its data may go nowhere else; null for all. */
  regions: string[] | null;
  /** The pool had to be started for it (true), or was up although nobody had been heard of for longer than a node is kept (false); null: it says nothing of that. */
  asleep: boolean | null;
  /** It met no queue and no start, as far as known: only then times say something about rates. */
  undisturbed: boolean;
}
