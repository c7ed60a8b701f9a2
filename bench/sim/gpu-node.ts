import { PrefixCache } from '../prefix-cache.ts';
import type { Clock } from './clock.ts';
import { type SimRequest, tokensOf } from './request.ts';
import type { Scenario } from './scenario.ts';

export interface OriginListener {
  firstToken(): void;
  finished(): void;
  /** The node is gone. */
  failed(): void;
}

export interface OriginJob {
  cancel(): void;
}

interface Sequence {
  request: SimRequest;
  listener: OriginListener;
  promptLeft: number;
  outputLeft: number;
  kvTokens: number;
  state: 'waiting' | 'running' | 'left';
}

/** Prompt tokens of an iteration at most, as vLLM's chunked prefill has it by default on such cards. */
const chunkTokens = 2_048;

/**
 * One GPU with continuous batching (Orca, OSDI 2022) and chunked prefill: an iteration gives every running answer a token and evaluates a bounded number of prompt
 * tokens. Sequences are let in while there is a slot and room for all of their keys and values. Iterations that change nothing are run together.
 */
export class GpuNode {
  readonly #clock: Clock;
  readonly #origin: Scenario['origin'];
  readonly #cache: PrefixCache;
  #waiting: Sequence[] = [];
  #running: Sequence[] = [];
  #kvTokens = 0;
  /** The iterations on their way: `count` of `ms` each; a newer batch makes an older event void. */
  #batch: { startedAt: number; ms: number; count: number; members: Sequence[]; prefill: number[] } | null = null;
  #version = 0;
  idleSince: number;

  constructor(clock: Clock, origin: Scenario['origin']) {
    this.#clock = clock;
    this.#origin = origin;
    this.#cache = new PrefixCache(origin.cacheBlocks);
    this.idleSince = clock.now;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running.length;
  }

  get kvUse(): number {
    return this.#kvTokens / this.#origin.kvTokens;
  }

  submit(request: SimRequest, listener: OriginListener): OriginJob {
    const kvTokens = Math.min(this.#origin.kvTokens, request.promptTokens + outputOf(request));
    const sequence: Sequence = { request, listener, promptLeft: 0, outputLeft: outputOf(request), kvTokens, state: 'waiting' };
    this.#waiting.push(sequence);
    this.#interrupt();
    return { cancel: () => this.#leave(sequence) };
  }

  /** Everybody here gets nothing more. */
  kill(): void {
    const all = [...this.#running, ...this.#waiting];
    this.#version++;
    this.#batch = null;
    for (const sequence of all) this.#leave(sequence);
    for (const { listener } of all) listener.failed();
  }

  /** A new arrival joins at the end of the iteration that runs. */
  #interrupt(): void {
    if (!this.#batch) {
      // All that comes at this moment begins together.
      const version = ++this.#version;
      this.#clock.after(0, () => this.#version === version && !this.#batch && this.#iterate());
      return;
    }
    const { startedAt, ms, count } = this.#batch;
    const done = Math.max(1, Math.ceil((this.#clock.now - startedAt) / ms - 1e-9));
    if (done >= count) return;
    this.#batch.count = done;
    this.#schedule();
  }

  #schedule(): void {
    const version = ++this.#version;
    const { startedAt, ms, count } = this.#batch!;
    this.#clock.at(startedAt + ms * count, () => this.#version === version && this.#iterated());
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const fits = this.#kvTokens + first.kvTokens <= this.#origin.kvTokens || this.#running.length === 0;
      if (this.#running.length >= this.#origin.slots || !fits) return;
      this.#waiting.shift();
      const cached = Math.min(first.request.promptTokens - 1, tokensOf(first.request, this.#cache.use(first.request.blocks)));
      first.promptLeft = first.request.promptTokens - cached;
      first.state = 'running';
      this.#kvTokens += first.kvTokens;
      this.#running.push(first);
    }
  }

  #iterate(): void {
    this.#admit();
    const members = this.#running;
    if (members.length === 0) return;
    let left = chunkTokens;
    const prefill = members.map(({ promptLeft }) => {
      const rows = Math.min(left, promptLeft);
      left -= rows;
      return rows;
    });
    const promptRows = chunkTokens - left;
    const { tpotMs, tpotMsPerSequence, prefill: rate } = this.#origin;
    const answers = members.filter(({ promptLeft }) => promptLeft === 0);
    const ms = tpotMs + tpotMsPerSequence * Math.max(0, answers.length - 1) + (1000 * promptRows) / rate;
    const count = promptRows > 0 ? 1 : Math.min(...members.map(({ outputLeft }) => outputLeft));
    this.#batch = { startedAt: this.#clock.now, ms, count, members: [...members], prefill };
    this.#schedule();
  }

  #iterated(): void {
    const { count, members, prefill } = this.#batch!;
    this.#batch = null;
    members.forEach((sequence, i) => {
      if (sequence.state !== 'running') return;
      if (sequence.promptLeft > 0) {
        sequence.promptLeft -= prefill[i]!;
        if (sequence.promptLeft > 0) return;
        sequence.outputLeft--;
        sequence.listener.firstToken();
      } else sequence.outputLeft -= count;
      if (sequence.outputLeft > 0 || sequence.state !== 'running') return;
      this.#leave(sequence);
      sequence.listener.finished();
    });
    if (!this.#batch) this.#iterate();
  }

  #leave(sequence: Sequence): void {
    if (sequence.state === 'left') return;
    if (sequence.state === 'running') this.#kvTokens -= sequence.kvTokens;
    sequence.state = 'left';
    this.#running = this.#running.filter((other) => other !== sequence);
    this.#waiting = this.#waiting.filter((other) => other !== sequence);
    if (this.#running.length + this.#waiting.length === 0) this.idleSince = this.#clock.now;
  }
}

const outputOf = ({ outputTokens, maxTokens }: SimRequest): number => Math.min(outputTokens, maxTokens ?? Number.POSITIVE_INFINITY);
