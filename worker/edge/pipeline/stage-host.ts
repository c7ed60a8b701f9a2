import { localPeer, type Peer } from '../../../wasm/engine/pipeline/peer.ts';
import { type PipelineMember, StageError, type StageMemory } from '../../../wasm/engine/stage.ts';
import { LazyLoad } from '../lazy-load.ts';
import { decodeQuestion, decodeStep, encodeAnswers, encodeStepped } from './flat-calls.ts';
import {
  type Outcome,
  type Refused,
  STAGE_VERSION,
  type StageArguments,
  type StageConnection,
  type StageHello,
  type StageMethod,
  type StageValue,
  type StageWelcome,
} from './stage-protocol.ts';

export interface StageHostOptions {
  /** Hash of the plan, and which of its stages this is. */
  plan: string;
  stage: number;
  load(): Promise<PipelineMember>;
  /** Milliseconds. */
  now(): number;
  /** A session that nobody has mentioned for so long is freed when the next call comes. */
  leaseMs: number;
  /** Called at the start of every call. */
  arrived(): void;
}

/** One connection's calls, as they are handed out. */
export type Call = StageConnection['call'];

/** What a connection answers: `call`, and the two that come as bytes. */
export function connectionOf(call: Call): StageConnection {
  const flat = <T>(outcome: Outcome<T>, encode: (value: T) => ArrayBuffer): ArrayBuffer | Refused =>
    outcome.ok ? encode(outcome.value) : outcome;
  return {
    call,
    step: async (text, bytes) => flat(await call('step', [decodeStep({ text, bytes })]), encodeStepped),
    answer: async (text, bytes) => flat(await call('answer', decodeQuestion({ text, bytes })), encodeAnswers),
  };
}

/** Methods whose first argument names the session they are about, or several. */
const sessionsOf = (method: StageMethod, args: unknown[]): string[] => {
  const [first, second] = args;
  if (method === 'open' || method === 'close' || method === 'restore' || method === 'snapshot') return [first as string];
  if (method === 'fork') return [first as string, second as string];
  if (method === 'bytesOf') return first as string[];
  if (method === 'step' || method === 'reserve') return (first as { session: string }[]).map(({ session }) => session);
  return [];
};

const METHODS: ReadonlySet<string> = new Set<StageMethod>([
  ...(['open', 'fork', 'close', 'bytesOf', 'step', 'cancel', 'snapshot', 'restore'] as const),
  ...(['memory', 'reserve', 'embed', 'answer'] as const),
]);

interface Loaded {
  member: Peer;
  epoch: string;
}

/**
 * One stage of a pipeline, wherever it runs: loads what it holds when it is first needed, and serves one client at a time. Its epoch is that of this instance: when it
 * changes, all sessions are gone.
 *
 * Nothing leaks: sessions are freed when their client says so, when it connects again and does not know them any more, when another client takes its place, and at the
 * first call after nobody has mentioned them for the time of a lease. Where no call comes any more, the platform ends the instance, and them with it.
 */
export class StageHost {
  readonly #options: StageHostOptions;
  readonly #instance = crypto.randomUUID();
  readonly #member: LazyLoad<Loaded>;
  /** When each open session was last mentioned. */
  readonly #touched = new Map<string, number>();
  #client: string | null = null;
  /** Counts connections: an older one is not listened to any more. */
  #connection = 0;

  constructor(options: StageHostOptions) {
    this.#options = options;
    let loads = 0;
    this.#member = new LazyLoad(async () => {
      loads += 1;
      return { member: localPeer(await options.load()), epoch: `${this.#instance}:${loads}` };
    }, options.now);
  }

  /** @param handOut makes what is sent to the client of its calls */
  async attach(hello: StageHello, handOut: (calls: StageConnection) => StageConnection): Promise<StageWelcome> {
    const mismatch = this.#mismatch(hello);
    if (mismatch) return { ok: false, message: mismatch };
    let loaded: Loaded;
    try {
      loaded = await this.#member.get();
    } catch (error) {
      return { ok: false, message: `Stage ${this.#options.stage} could not be loaded: ${(error as Error).message}` };
    }
    const { member, epoch } = loaded;
    this.#connection += 1;
    const connection = this.#connection;
    const known = new Set(hello.client === this.#client ? hello.sessions : []);
    this.#client = hello.client;
    await this.#free(
      member,
      [...this.#touched.keys()].filter((session) => !known.has(session)),
    );
    const call: Call = (method, args) => this.#call(loaded, connection, method, args);
    return { ok: true, epoch, connection: handOut(connectionOf(call)) };
  }

  /** What the stage takes, when it is loaded. */
  async memory(): Promise<StageMemory | null> {
    return (await this.#member.value?.member.memory()) ?? null;
  }

  #mismatch({ version, plan, stage }: StageHello): string | null {
    const own = this.#options;
    const redeploy = 'deploy all stages and the engine again, from the same version';
    if (version !== STAGE_VERSION) return `Stage ${own.stage} is of version ${STAGE_VERSION}, and the engine of ${version}: ${redeploy}.`;
    if (plan !== own.plan) return `Stage ${own.stage} has another plan (${own.plan}) than the engine (${plan}): ${redeploy}.`;
    if (stage !== own.stage) return `Stage ${own.stage} was taken for stage ${stage}: check the engine's STAGE bindings.`;
    return null;
  }

  async #call<M extends StageMethod>(
    loaded: Loaded,
    connection: number,
    method: M,
    args: StageArguments<M>,
  ): Promise<Outcome<StageValue<M>>> {
    this.#options.arrived();
    const { member } = loaded;
    if (connection !== this.#connection || this.#member.value !== loaded)
      return { ok: false, code: 'lost', message: 'Another connection has taken the place of this one.' };
    if (!METHODS.has(method)) return { ok: false, code: 'bad_input', message: `A stage has no method ${method}.` };
    const sessions = sessionsOf(method, args);
    const expired = this.#expired(sessions);
    if (expired.length > 0) await this.#free(member, expired);
    try {
      const value = await (member[method] as (...args: StageArguments<M>) => Promise<StageValue<M>>)(...args);
      this.#note(method, sessions);
      return { ok: true, value };
    } catch (error) {
      if (error instanceof StageError) return { ok: false, code: error.code, message: error.message };
      // Its memory is in doubt: whoever connects next finds it loaded anew.
      this.#member.drop(loaded);
      this.#touched.clear();
      return { ok: false, code: 'lost', message: error instanceof Error ? error.message : String(error) };
    }
  }

  #note(method: StageMethod, sessions: string[]): void {
    const opens = method === 'open' || method === 'fork' || method === 'restore';
    for (const session of sessions)
      if (method === 'close') this.#touched.delete(session);
      else if (opens || this.#touched.has(session)) this.#touched.set(session, this.#options.now());
  }

  #expired(mentioned: string[]): string[] {
    const oldest = this.#options.now() - this.#options.leaseMs;
    const expired: string[] = [];
    for (const [session, at] of this.#touched) if (at < oldest && !mentioned.includes(session)) expired.push(session);
    return expired;
  }

  async #free(member: Peer, sessions: string[]): Promise<void> {
    for (const session of sessions) {
      this.#touched.delete(session);
      await member.close(session);
    }
  }
}
