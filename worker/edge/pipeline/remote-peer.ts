import { within } from '../../../routes/within.ts';
import { type Peer, StageLostError } from '../../../wasm/engine/pipeline/peer.ts';
import { StageError, type StageSpec } from '../../../wasm/engine/stage.ts';
import { decodeAnswers, decodeStepped, encodeQuestion, encodeStep } from './flat-calls.ts';
import {
  type Outcome,
  type Refused,
  STAGE_VERSION,
  type StageArguments,
  type StageConnection,
  type StageDoor,
  type StageMethod,
  type StageValue,
  type StageWelcome,
} from './stage-protocol.ts';

export interface RemotePeerOptions {
  spec: StageSpec;
  /** A way to the stage's Durable Object, made anew for every connection: one that has failed stays broken. */
  door(): StageDoor;
  /** Hash of the plan, and which of its stages this is. */
  plan: string;
  stage: number;
  client: string;
  /** Longest time of a call, and of a connect with its load; milliseconds. */
  callMs?: number;
  connectMs?: number;
  /** A connection that was not used for so long is given up: while it is there, the stage stays in memory and is billed. */
  idleMs?: number;
}

type Connected = Extract<StageWelcome, { ok: true }>;

const CALL_MS = 30_000;
const CONNECT_MS = 60_000;
const IDLE_MS = 10_000;
/** How often calls that take too long, and connections that nobody uses, are looked for. */
const LOOK_MS = 2_000;

/** A stage in another isolate, over the RPC of its Durable Object. Any trouble on the way is a loss; what the stage itself refuses is a `StageError` as if it were here. */
export class RemotePeer implements Peer {
  readonly spec: StageSpec;
  readonly #options: RemotePeerOptions;
  #connected: Promise<Connected> | null = null;
  /** What came of it. */
  #live: Connected | null = null;
  readonly #running = new Set<{ since: number; reject: (reason: Error) => void }>();
  #lastUse = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: RemotePeerOptions) {
    this.#options = options;
    this.spec = options.spec;
  }

  get epoch(): string | null {
    return this.#live?.epoch ?? null;
  }

  async connect(known: () => string[]): Promise<string> {
    if (!this.#connected) {
      const connecting = this.#open(known());
      this.#connected = connecting;
      connecting.then(
        (welcome) => {
          if (this.#connected === connecting) this.#live = welcome;
        },
        () => this.#lose(connecting),
      );
    }
    return (await this.#connected).epoch;
  }

  async #open(sessions: string[]): Promise<Connected> {
    const { plan, stage, client, connectMs = CONNECT_MS } = this.#options;
    const asking = this.#options.door().attach({ version: STAGE_VERSION, plan, stage, client, sessions });
    const welcome = await within(asking, connectMs).catch((cause: unknown) => {
      throw new StageLostError(`Stage ${stage} cannot be reached: ${(cause as Error).message}`, { cause });
    });
    if (!welcome) throw new StageLostError(`Stage ${stage} did not answer within ${connectMs} ms.`);
    if (welcome.ok) return welcome;
    throw new Error(welcome.message);
  }

  async #call<M extends StageMethod>(method: M, ...args: StageArguments<M>): Promise<StageValue<M>> {
    const outcome = await this.#ask<Outcome<StageValue<M>>>((connection) => connection.call(method, args));
    return (outcome as Extract<typeof outcome, { ok: true }>).value;
  }

  /** What the stage answers to `question`. Throws what it refuses, and `StageLostError`. */
  async #ask<T>(question: (connection: StageConnection) => Promise<T | Refused>): Promise<T> {
    const { stage } = this.#options;
    const connecting = this.#connected;
    if (!connecting) throw new StageLostError(`Stage ${stage} is not connected.`);
    const { connection } = this.#live ?? (await connecting);
    let outcome: T | Refused;
    try {
      outcome = await this.#watched(question(connection));
    } catch (cause) {
      this.#lose(connecting);
      throw new StageLostError(`Stage ${stage} was lost: ${(cause as Error).message}`, { cause });
    }
    if (!isRefused(outcome)) return outcome;
    if (outcome.code !== 'lost') throw new StageError(outcome.code, outcome.message);
    this.#lose(connecting);
    throw new StageLostError(`Stage ${stage}: ${outcome.message}`);
  }

  /** Gives a connection up. What the stage holds stays there for the time of a lease. */
  #lose(connecting: Promise<Connected>): void {
    if (this.#connected === connecting) {
      this.#connected = null;
      this.#live = null;
    }
    connecting.then(
      (welcome) => (welcome as Partial<Disposable>)[Symbol.dispose]?.(),
      () => {},
    );
  }

  /** A call that fails when it takes too long. One timer looks after all calls: several for each would cost more than the call. */
  #watched<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const running = { since: Date.now(), reject };
      this.#running.add(running);
      this.#timer ??= setTimeout(this.#look, LOOK_MS);
      this.#lastUse = running.since;
      call.then(
        (value) => {
          this.#running.delete(running);
          resolve(value);
        },
        (error: unknown) => {
          this.#running.delete(running);
          reject(error);
        },
      );
    });
  }

  readonly #look = (): void => {
    const { callMs = CALL_MS, idleMs = IDLE_MS } = this.#options;
    this.#timer = null;
    const now = Date.now();
    for (const running of this.#running) {
      if (now - running.since < callMs) continue;
      // It may never end, and is not to keep a later connection.
      this.#running.delete(running);
      running.reject(new Error(`it did not answer within ${callMs} ms`));
    }
    if (this.#running.size === 0 && now - this.#lastUse >= idleMs) {
      if (this.#connected) this.#lose(this.#connected);
    } else this.#timer = setTimeout(this.#look, LOOK_MS);
  };

  open = (session: string) => this.#call('open', session);
  fork = (session: string, as: string, tokens?: number) => this.#call('fork', session, as, tokens);
  bytesOf = (sessions: string[]) => this.#call('bytesOf', sessions);
  close = (session: string) => this.#call('close', session);
  step = async (batch: StageArguments<'step'>[0]) => {
    const { text, bytes } = encodeStep(batch);
    return decodeStepped(await this.#ask((connection) => connection.step(text, bytes)), batch);
  };
  cancel = (sessions: string[]) => this.#call('cancel', sessions);
  snapshot = (session: string) => this.#call('snapshot', session);
  restore = (session: string, snapshot: Uint8Array) => this.#call('restore', session, snapshot);
  memory = () => this.#call('memory');
  reserve = (wanted: StageArguments<'reserve'>[0]) => this.#call('reserve', wanted);
  embed = (ids: number[]) => this.#call('embed', ids);
  answer = async (hidden: Float32Array, queries: StageArguments<'answer'>[1]) => {
    const { text, bytes } = encodeQuestion(hidden, queries);
    return decodeAnswers(await this.#ask((connection) => connection.answer(text, bytes)), queries.length);
  };
}

const isRefused = (outcome: unknown): outcome is Refused => (outcome as Partial<Refused>).ok === false;
