import { StageError, type StageMemory, type StageSpec } from '../stage.ts';
import { type Peer, StageLostError } from './peer.ts';

/** What a stage says of a session that it has lost, or that is not where we left it: its state has to be computed again. */
const LOST_STATE = new Set(['unknown_session', 'wrong_position', 'session_exists']);

/** The members of a pipeline in their order. */
export class Members {
  /** Stages of layers, first layers first. */
  readonly layers: Peer[];
  /** Slices of the vocabulary, first rows first. */
  readonly slices: Peer[];
  /** What all of them are together. */
  readonly spec: StageSpec;

  /** Throws an Error when the members do not make up one model. */
  constructor(members: Peer[], layerCount: number, vocabSize: number) {
    this.layers = members.filter(({ spec }) => spec.head === null).sort((a, b) => a.spec.layers.first - b.spec.layers.first);
    this.slices = members.filter(({ spec }) => spec.head !== null).sort((a, b) => a.spec.head!.first - b.spec.head!.first);
    const whole = { first: 0, last: vocabSize };
    const problem =
      gap(
        this.layers.map(({ spec }) => spec.layers),
        layerCount,
        'layers',
      ) ??
      gap(
        this.slices.map(({ spec }) => spec.head!),
        vocabSize,
        'rows of the head',
      ) ??
      gap(
        this.slices.map(({ spec }) => spec.embed ?? { first: 0, last: 0 }),
        vocabSize,
        'rows of the token table',
      );
    if (problem) throw new Error(`The stages make up no model: ${problem}.`);
    this.spec = { layers: { first: 0, last: layerCount }, embed: whole, head: whole };
  }

  get all(): Peer[] {
    return [...this.layers, ...this.slices];
  }

  /** Index of the slice that holds a token. */
  sliceOf(id: number): number {
    return this.slices.findIndex(({ spec }) => id < spec.embed!.last);
  }

  /** Which instances hold the layers, when all are connected, else null. */
  get epochs(): string[] | null {
    const epochs: string[] = [];
    for (const { epoch } of this.layers) {
      if (epoch === null) return null;
      epochs.push(epoch);
    }
    for (const { epoch } of this.slices) if (epoch === null) return null;
    return epochs;
  }

  /** Connects all. Answers which instances hold the layers. @param known names the sessions that are still wanted */
  async connect(known: () => string[]): Promise<string[]> {
    const epochs = await settled(this.all.map((peer) => peer.connect(known)));
    return epochs.slice(0, this.layers.length);
  }

  /** The same call to every stage of layers at once. Waits for all, then throws what the first to fail has thrown. */
  eachLayers<T>(call: (peer: Peer, index: number) => Promise<T>): Promise<T[]> {
    return settled(this.layers.map(call));
  }

  async memory(): Promise<StageMemory> {
    const list = await settled(this.all.map((peer) => peer.memory()));
    const sum = (of: (memory: StageMemory) => number) => list.reduce((total, memory) => total + of(memory), 0);
    return {
      wasmBytes: sum(({ wasmBytes }) => wasmBytes),
      weightBytes: sum(({ weightBytes }) => weightBytes),
      sessionBytes: sum(({ sessionBytes }) => sessionBytes),
      room: null,
    };
  }
}

/** Whether computing the state again, from a new connection, may help. */
export const isLoss = (error: unknown): error is Error =>
  error instanceof StageLostError || (error instanceof StageError && LOST_STATE.has(error.code));

/** All results, when all calls have ended. Throws the first error, losses last: what else went wrong says more. */
async function settled<T>(calls: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(calls);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (errors.length > 0) throw errors.find((error) => !isLoss(error)) ?? errors[0];
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

function gap(ranges: { first: number; last: number }[], end: number, what: string): string | null {
  let at = 0;
  for (const { first, last } of ranges) {
    if (first !== at) return `${what} go from ${at} to ${first}`;
    at = last;
  }
  return at === end ? null : `there are ${end} ${what}, and they hold ${at}`;
}
