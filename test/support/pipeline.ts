import { type GenerateEvent, type GenerateOptions, generate } from '../../wasm/engine/generate.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';
import { localPeer, type Peer, StageLostError } from '../../wasm/engine/pipeline/peer.ts';
import { resolveSampling, type SamplingRequest } from '../../wasm/engine/sampling.ts';
import type { HeadQuery, PipelineMember, Stage, StageSpec, StepEntry } from '../../wasm/engine/stage.ts';
import type { MemoryPack } from './memory-pack.ts';

/** Stages of a model: layers cut before each of `cuts`, and so many slices of the vocabulary, cut where the pack has a new file. */
export function cutModel({ manifest: { config, tensors } }: MemoryPack, cuts: number[], slices: number): StageSpec[] {
  const layers = config.layerTypes.length;
  const borders = [0, ...cuts, layers];
  const rows = tensors.embed!.parts.map(({ row }) => row);
  const starts = Array.from({ length: slices }, (_, i) => rows[Math.floor((i * rows.length) / slices)]!);
  return [
    ...borders.slice(0, -1).map((first, i): StageSpec => ({ layers: { first, last: borders[i + 1]! }, embed: null, head: null })),
    ...starts.map((first, i): StageSpec => {
      const range = { first, last: starts[i + 1] ?? config.vocabSize };
      return { layers: { first: layers, last: layers }, embed: range, head: range };
    }),
  ];
}

export const loadMember = (pack: MemoryPack, spec: StageSpec, maxBytes?: number): Promise<PipelineMember> =>
  loadStage({ modules: nodeKernels(), ...pack, spec, maxBytes });

/** A stage that can be killed, or cut off, at any time; it is loaded anew when it is connected again. */
export class FaultyPeer implements Peer {
  readonly spec: StageSpec;
  /** Asked before and after every call: what becomes of the stage now. */
  fate: () => 'kill' | 'cut' | null = () => null;
  losses = 0;
  connects = 0;
  readonly #load: () => Promise<PipelineMember>;
  #instance: Promise<Peer> | null = null;
  #epoch = 0;
  #connection: object | null = null;

  constructor(spec: StageSpec, load: () => Promise<PipelineMember>) {
    this.spec = spec;
    this.#load = load;
  }

  /** The instance is gone, with all it held. */
  kill(): void {
    this.#instance = null;
    this.cut();
  }

  /** The connection is gone; the instance stays, and carries out what it was asked. */
  cut(): void {
    if (this.#connection) this.losses += 1;
    this.#connection = null;
  }

  /** What is open in it. */
  async sessionBytes(): Promise<number> {
    return (await (await this.#instance)?.memory())?.sessionBytes ?? 0;
  }

  get epoch(): string | null {
    return this.#connection ? String(this.#epoch) : null;
  }

  async connect(): Promise<string> {
    if (!this.#connection) {
      this.connects += 1;
      if (!this.#instance) {
        this.#epoch += 1;
        this.#instance = this.#load().then(localPeer);
      }
      const instance = this.#instance;
      await instance;
      if (this.#instance !== instance) throw new StageLostError('The stage was lost while it was loaded.');
      this.#connection ??= {};
    }
    return String(this.#epoch);
  }

  async #call<T>(work: (member: Peer) => Promise<T>): Promise<T> {
    this.#meetFate();
    const connection = this.#connection;
    if (!connection || !this.#instance) throw new StageLostError('The stage is not connected.');
    const instance = this.#instance;
    const result = await work(await instance);
    this.#meetFate();
    if (this.#connection !== connection) throw new StageLostError('The stage was lost during a call.');
    // What crosses an RPC is a copy.
    return structuredClone(result);
  }

  #meetFate(): void {
    const fate = this.fate();
    if (fate === 'kill') this.kill();
    if (fate === 'cut') this.cut();
  }

  open = (session: string) => this.#call((member) => member.open(session));
  fork = (session: string, as: string, tokens?: number) => this.#call((member) => member.fork(session, as, tokens));
  bytesOf = (sessions: string[]) => this.#call((member) => member.bytesOf(sessions));
  close = (session: string) => this.#call((member) => member.close(session));
  step = (batch: StepEntry[]) => this.#call((member) => member.step(structuredClone(batch)));
  cancel = (sessions: string[]) => this.#call((member) => member.cancel(sessions));
  snapshot = (session: string) => this.#call((member) => member.snapshot(session));
  restore = (session: string, snapshot: Uint8Array) => this.#call((member) => member.restore(session, snapshot));
  memory = () => this.#call((member) => member.memory());
  reserve = (wanted: { session: string; tokens: number }[]) => this.#call((member) => member.reserve(wanted));
  embed = (ids: number[]) => this.#call((member) => member.embed(ids));
  answer = (hidden: Float32Array, queries: HeadQuery[]) => this.#call((member) => member.answer(hidden, queries));
}

export const numberTokenizer = {
  bytesOf: (id: number) => new TextEncoder().encode(` ${id}`),
  decoder: () => ({ push: (id: number) => ` ${id}`, flush: () => '' }),
};

const OFF = { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };

/** An answer of at most 24 tokens, sampled as the request says; where it says nothing, from the whole distribution. */
export const generateOptions = (request: SamplingRequest, changes: Partial<GenerateOptions> = {}): GenerateOptions => ({
  sampling: resolveSampling({ seed: 11, ...request }, OFF, 0),
  maxTokens: 24,
  contextLength: 512,
  stopIds: [],
  stop: [],
  topLogprobs: null,
  splitter: null,
  ...changes,
});

/** All events of an answer. */
export async function answerOf(
  stage: Stage,
  prompt: number[],
  request: SamplingRequest,
  changes: Partial<GenerateOptions> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<GenerateEvent[]> {
  const options = generateOptions(request, changes);
  const session = crypto.randomUUID();
  const events: GenerateEvent[] = [];
  if (!options.prefix) await stage.open(session);
  try {
    for await (const event of generate(stage, numberTokenizer, session, prompt, options, signal)) events.push(event);
  } finally {
    await stage.close(session);
  }
  return events;
}
