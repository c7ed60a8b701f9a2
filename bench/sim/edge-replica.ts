import { Admission, type Ticket } from '../../worker/edge/admission.ts';
import { RateMeter } from '../../worker/edge/rates.ts';
import { planTurn, TURN_ROWS } from '../../worker/edge/turn-plan.ts';
import type { EdgeFigures } from '../../worker/routing/figures.ts';
import { PrefixCache } from '../prefix-cache.ts';
import type { Clock } from './clock.ts';
import { type SimRequest, tokensOf } from './request.ts';
import type { Scenario } from './scenario.ts';

/** What an engine tells about one request; the times are the engine's. */
export interface EdgeListener {
  /** It has its place. @param queueMs what it waited for it, loading included */
  started(cachedTokens: number, queueMs: number, cold: boolean): void;
  /** @param tokens so far */
  token(tokens: number): void;
  finished(): void;
}

/** A request with the engine. */
export interface EdgeJob {
  cancel(): void;
}

interface Sequence {
  request: SimRequest;
  listener: EdgeListener;
  ticket: Ticket;
  enteredAt: number;
  cold: boolean;
  /** Tokens of the prompt that are to be evaluated, and of the chunk that waits for its turn. */
  promptLeft: number;
  chunkLeft: number;
  tokens: number;
  outputTokens: number;
  state: 'waiting' | 'running' | 'left';
}

/** Nobody is called off while waiting for a place by signal: who leaves gives its ticket back. */
const never = new AbortController().signal;

/**
 * One edge replica: the scheduler's turns (turn-plan.ts), its places (admission.ts) and its own figures (rates.ts) around an engine whose turns take the time that
 * was measured: reading the weights once, and so much for each row.
 */
export class EdgeReplica {
  readonly #clock: Clock;
  readonly #edge: Scenario['edge'];
  readonly #admission: Admission;
  readonly #cache: PrefixCache;
  #meter = new RateMeter();
  /** In the order in which they wait for a turn. */
  #queue: Sequence[] = [];
  #begun = 0;
  #turning = false;
  #state: 'cold' | 'loading' | 'warm' = 'cold';
  #toStart: Sequence[] = [];
  #held = 0;
  #busySince = 0;
  #idleSince: number;
  /** Milliseconds of computing, and of having requests at all. */
  busyMs = 0;
  presentMs = 0;
  requests = 0;
  loads = 0;

  constructor(clock: Clock, edge: Scenario['edge']) {
    this.#clock = clock;
    this.#edge = edge;
    this.#admission = new Admission(edge.slots, edge.queue);
    this.#cache = new PrefixCache(edge.cacheBlocks);
    this.#idleSince = Number.NEGATIVE_INFINITY;
  }

  /** Places were given whose holders have not noticed: promises are settled by the event loop, not by the clock. */
  get unsettled(): boolean {
    return this.#admission.running !== this.#begun;
  }

  /** As the engine reports them with its replies. */
  get figures(): EdgeFigures {
    const { running, waiting } = this.#admission;
    const { rates, decodeBatch } = this.#meter;
    const { slots, loadMs } = this.#edge;
    return { ...rates, decodeBatch, running, queued: waiting, slots, warm: this.#state === 'warm', loadMs: this.loads > 0 ? loadMs : null };
  }

  /** Takes the request in; null when the queue is full. */
  submit(request: SimRequest, listener: EdgeListener): EdgeJob | null {
    const ticket = this.#admission.enter();
    if (!ticket) return null;
    const now = this.#clock.now;
    this.requests++;
    if (this.#held++ === 0) this.#busySince = now;
    if (this.#state === 'warm' && this.#held === 1 && now - this.#idleSince > 1000 * this.#edge.evictSeconds) this.#evict();
    const outputTokens = Math.min(request.outputTokens, request.maxTokens ?? this.#edge.maxTokens);
    const sequence: Sequence = {
      request, listener, ticket, enteredAt: now, cold: this.#state !== 'warm', promptLeft: 0, chunkLeft: 0, tokens: 0, outputTokens, state: 'waiting',
    }; // biome-ignore format: one line
    if (this.#state === 'warm') this.#start(sequence);
    else {
      this.#toStart.push(sequence);
      if (this.#state === 'cold') this.#load();
    }
    return { cancel: () => this.#leave(sequence) };
  }

  #evict(): void {
    this.#state = 'cold';
    this.#meter = new RateMeter();
    this.#cache.clear();
  }

  #load(): void {
    this.#state = 'loading';
    this.loads++;
    this.busyMs += this.#edge.loadMs;
    this.#clock.after(this.#edge.loadMs, () => {
      this.#state = 'warm';
      for (const sequence of this.#toStart.splice(0)) this.#start(sequence);
    });
  }

  #start(sequence: Sequence): void {
    void sequence.ticket.start(never).then(() => {
      if (sequence.state === 'left') return;
      this.#begun++;
      sequence.state = 'running';
      const { request } = sequence;
      // The last token of a prompt is always evaluated.
      const cached = Math.min(request.promptTokens - 1, tokensOf(request, this.#cache.use(request.blocks)));
      sequence.promptLeft = request.promptTokens - cached;
      sequence.chunkLeft = Math.min(TURN_ROWS, sequence.promptLeft);
      sequence.listener.started(cached, this.#clock.now - sequence.enteredAt, sequence.cold);
      // Who listens may have called it off.
      if (sequence.state !== 'running') return;
      this.#queue.push(sequence);
      // All that was let in at this moment shares the turn.
      this.#clock.after(0, () => this.#turn());
    });
  }

  #leave(sequence: Sequence): void {
    if (sequence.state === 'left') return;
    if (sequence.state === 'running') this.#begun--;
    sequence.state = 'left';
    this.#queue = this.#queue.filter((other) => other !== sequence);
    sequence.ticket.leave();
    if (--this.#held > 0) return;
    this.presentMs += this.#clock.now - this.#busySince;
    this.#idleSince = this.#clock.now;
  }

  #turn(): void {
    if (this.#turning || this.#queue.length === 0) return;
    const shares = planTurn(this.#queue.map(({ chunkLeft }) => ({ rows: Math.max(1, chunkLeft), answer: chunkLeft === 0 })));
    const turn = this.#queue.flatMap((sequence, i) =>
      shares[i]! > 0 ? [{ sequence, rows: shares[i]!, answer: sequence.chunkLeft === 0 }] : [],
    );
    const answers = turn.filter(({ answer }) => answer).length;
    const promptRows = turn.reduce((sum, { rows, answer }) => sum + (answer ? 0 : rows), 0);
    const ms = turnMs(this.#edge, answers, promptRows);
    this.#turning = true;
    this.busyMs += ms;
    this.#clock.after(ms, () => {
      this.#turning = false;
      this.#meter.add(turn.map(({ rows }) => rows), ms); // biome-ignore format: one line
      this.#queue = this.#queue.filter((sequence) => !turn.some((piece) => piece.sequence === sequence));
      const unfinished: Sequence[] = [];
      for (const { sequence, rows, answer } of turn) {
        if (sequence.state !== 'running') continue;
        if (answer) this.#produced(sequence);
        else if (this.#evaluated(sequence, rows)) unfinished.push(sequence);
      }
      this.#queue.unshift(...unfinished.filter(({ state }) => state === 'running'));
      this.#turn();
    });
  }

  /** True when its chunk was cut, and its rest waits before all others. */
  #evaluated(sequence: Sequence, rows: number): boolean {
    sequence.promptLeft -= rows;
    sequence.chunkLeft -= rows;
    if (sequence.chunkLeft > 0) return true;
    sequence.chunkLeft = Math.min(TURN_ROWS, sequence.promptLeft);
    // The prompt's last row gives the first token.
    if (sequence.promptLeft === 0) this.#produced(sequence);
    else this.#queue.push(sequence);
    return false;
  }

  #produced(sequence: Sequence): void {
    sequence.tokens++;
    const isLast = sequence.tokens >= sequence.outputTokens;
    // Whoever sees the end of an answer may rely on the place being free.
    if (isLast) this.#leave(sequence);
    sequence.listener.token(sequence.tokens);
    if (isLast) sequence.listener.finished();
    else if (sequence.state === 'running') this.#queue.push(sequence);
  }
}

/**
 * What a turn takes, milliseconds: the weights are read once, and each row computes. From the rates of one answer alone, of four together, and of a full chunk of
 * prompt: read + 1 answer = 1000 ÷ decode, read + 4 answers = 4000 ÷ (batchOf4 · decode), read + 32 rows = 32000 ÷ prefill.
 */
export function turnMs(
  { decode, batchOf4, prefill }: Pick<Scenario['edge'], 'decode' | 'batchOf4' | 'prefill'>,
  answers: number,
  promptRows: number,
): number {
  const alone = 1000 / decode;
  const answerMs = (4000 / (batchOf4 * decode) - alone) / 3;
  const readMs = alone - answerMs;
  const rowMs = Math.max(0, ((TURN_ROWS * 1000) / prefill - readMs) / TURN_ROWS);
  return readMs + answers * answerMs + promptRows * rowMs;
}
