import { gumbel, gumbelKey } from '../../wasm/engine/gumbel.ts';
import type { HeadAnswer, HeadQuery, Stage, StageMemory, StepEntry, StepResult } from '../../wasm/engine/stage.ts';
import { StageError } from '../../wasm/engine/stage.ts';

/** The head's answer for given logits, straight from the definitions in stage.ts: the reference that sampling is tested against. */
export function answerFor(logits: number[], query: HeadQuery): HeadAnswer {
  const adjusted = adjustedLogits(logits, query);
  const order = logits.map((_, id) => id).sort((a, b) => adjusted[b]! - adjusted[a]! || a - b);
  const ids = order.slice(0, query.candidates);
  const logSumExp = (values: number[], temperature: number) =>
    Math.log(values.reduce((sum, value) => sum + Math.exp(value / temperature), 0));
  let drawn: HeadAnswer['drawn'] = null;
  if (query.draw) {
    const key = gumbelKey(query.draw.seed, query.draw.step);
    const scores = adjusted.map((logit, id) => logit / query.draw!.temperature + gumbel(key, id));
    const id = scores.indexOf(Math.max(...scores));
    drawn = { id, score: scores[id]!, logit: adjusted[id]!, rawLogit: logits[id]! };
  }
  return {
    ids: Int32Array.from(ids),
    logits: Float32Array.from(ids, (id) => adjusted[id]!),
    rawLogits: Float32Array.from(ids, (id) => logits[id]!),
    logSumExp: logSumExp(adjusted, query.massTemperature ?? 1),
    rawLogSumExp: logSumExp(logits, 1),
    drawn,
  };
}

function adjustedLogits(logits: number[], { adjust }: HeadQuery): number[] {
  const values = [...logits];
  if (!adjust) return values;
  const seen = new Set([...adjust.prompt, ...adjust.generated.map(([id]) => id)]);
  for (const id of seen) values[id] = values[id]! > 0 ? values[id]! / adjust.repetitionPenalty : values[id]! * adjust.repetitionPenalty;
  for (const [id, count] of adjust.generated) values[id]! -= adjust.presencePenalty + adjust.frequencyPenalty * count;
  for (const [id, bias] of adjust.bias) values[id]! += bias;
  return values;
}

/** Logits that all but surely choose `id` out of `size` tokens. */
export const peak = (id: number, size: number): number[] => Array.from({ length: size }, (_, other) => (other === id ? 50 : 0));

/**
 * A stage without a model: the logits of a position are `script(ids so far)`. It keeps sessions and checks positions as a real one does, and notes what
 * it was asked in `batches`.
 */
export class ScriptedStage implements Stage {
  readonly spec = { layers: { first: 0, last: 0 }, embed: null, head: null };
  readonly sessions = new Map<string, number[]>();
  readonly batches: StepEntry[][] = [];
  /** Awaited inside every step, before anything happens. */
  beforeStep: (batch: StepEntry[], signal?: AbortSignal) => Promise<void> = async () => {};
  readonly #script: (ids: number[], session: string) => number[];
  #busy = false;

  constructor(script: (ids: number[], session: string) => number[]) {
    this.#script = script;
  }

  async open(session: string): Promise<void> {
    if (this.sessions.has(session)) throw new StageError('session_exists', `Session ${session} is open already.`);
    this.sessions.set(session, []);
  }

  async fork(session: string, as: string, tokens?: number): Promise<void> {
    this.#mustBeIdle();
    const seen = this.sessions.get(session);
    if (!seen) throw new StageError('unknown_session', `Session ${session} is not open.`);
    if (this.sessions.has(as)) throw new StageError('session_exists', `Session ${as} is open already.`);
    this.sessions.set(as, seen.slice(0, tokens));
  }

  /** A byte a token. */
  async bytesOf(sessions: string[]): Promise<number> {
    return sessions.reduce((sum, session) => sum + (this.sessions.get(session)?.length ?? 0), 0);
  }

  async reserve(): Promise<void> {
    this.#mustBeIdle();
  }

  async close(session: string): Promise<void> {
    this.#mustBeIdle();
    this.sessions.delete(session);
  }

  async step(batch: StepEntry[], signal?: AbortSignal): Promise<StepResult[]> {
    this.#mustBeIdle();
    for (const { session, position } of batch) {
      const seen = this.sessions.get(session);
      if (!seen) throw new StageError('unknown_session', `Session ${session} is not open.`);
      if (seen.length !== position) throw new StageError('wrong_position', `Session ${session} is at ${seen.length}, not ${position}.`);
    }
    this.#busy = true;
    this.batches.push(batch);
    try {
      await this.beforeStep(batch, signal);
      await new Promise((resolve) => setTimeout(resolve, 0));
      signal?.throwIfAborted();
    } finally {
      this.#busy = false;
    }
    return batch.map(({ session, ids, head, heads }) => {
      const seen = this.sessions.get(session)!;
      seen.push(...(ids ?? []));
      const answers = heads?.map((query, i) => answerFor(this.#script(seen.slice(0, seen.length - heads.length + 1 + i), session), query));
      return { hidden: null, head: head ? this.#answer(session, head) : null, heads: answers };
    });
  }

  async head(session: string, query: HeadQuery): Promise<HeadAnswer> {
    this.#mustBeIdle();
    return this.#answer(session, query);
  }

  snapshot(): Promise<Uint8Array> {
    throw new Error('not scripted');
  }

  restore(): Promise<void> {
    throw new Error('not scripted');
  }

  async memory(): Promise<StageMemory> {
    return { wasmBytes: 65536, weightBytes: 0, sessionBytes: this.sessions.size, room: null };
  }

  #answer(session: string, query: HeadQuery): HeadAnswer {
    const seen = this.sessions.get(session);
    if (!seen) throw new StageError('unknown_session', `Session ${session} is not open.`);
    return answerFor(this.#script(seen, session), query);
  }

  #mustBeIdle(): void {
    if (this.#busy) throw new Error('The stage was called while a step was running.');
  }
}
