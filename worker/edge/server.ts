import { priorCalibration } from '../../models/capability/prior.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import type { Pack } from '../../models/pack/reader.ts';
import { StageError } from '../../wasm/engine/stage.ts';
import type { EdgeFigures } from '../routing/figures.ts';
import { Admission, type Ticket } from './admission.ts';
import { answer, failure, type Prompt, preparePrompt } from './answer.ts';
import type { EdgeConfig } from './config.ts';
import { type Engine, type EngineHost, loadEngine } from './engine.ts';
import { EventWriter } from './event-writer.ts';
import { LazyLoad } from './lazy-load.ts';
import type { EdgeRequest, EdgeStatus } from './protocol.ts';
import { RefusalError } from './refusal.ts';
import { edgeRequestSchema } from './request-schema.ts';
import { type Progress, retryAfter } from './retry-after.ts';

/** Events written ahead of a slow reader: enough that one token's way to the client never costs a session its turn. */
const WRITE_AHEAD = 16;

export interface EdgeServerHost extends EngineHost {
  openPack(): Promise<Pack>;
  /** Keeps the place alive while an answer is generated. */
  waitUntil(work: Promise<void>): void;
}

/**
 * The engine over HTTP, the same wherever it runs: `POST /generate` answers an `EdgeRequest` with events as newline-delimited JSON, `GET /status` an `EdgeStatus`.
 * The model is loaded when it is first needed.
 */
export class EdgeServer {
  readonly #config: EdgeConfig;
  readonly #host: EdgeServerHost;
  readonly #admission: Admission;
  readonly #pack: LazyLoad<Pack>;
  readonly #engine: LazyLoad<Engine>;
  readonly #running = new Set<Progress>();

  constructor(config: EdgeConfig, host: EdgeServerHost) {
    this.#config = config;
    this.#host = host;
    this.#admission = new Admission(config.sessions, config.queue);
    const now = () => host.now();
    this.#pack = new LazyLoad(async () => host.openPack(), now);
    this.#engine = new LazyLoad(async () => loadEngine(await this.#pack.get(), config, host), now);
  }

  async fetch(request: Request): Promise<Response> {
    const route = `${request.method} ${new URL(request.url).pathname}`;
    if (route === 'GET /status') return Response.json(await this.status());
    if (route !== 'POST /generate') return new Response(null, { status: 404 });
    try {
      return await this.#generate(request);
    } catch (error) {
      if (error instanceof RefusalError) return error.response(this.#figures);
      throw error;
    }
  }

  /** Loads the model now. Throws a `RefusalError` with the reason when it cannot be loaded. */
  async load(): Promise<Engine> {
    try {
      return await this.#engine.get();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new RefusalError('model_unavailable', `The edge model could not be loaded: ${reason}`, { retryAfter: this.#engine.retryAfter });
    }
  }

  async status(): Promise<EdgeStatus> {
    // The manifest is small: a cold object can say what it is without loading the weights.
    const pack = await this.#pack.get().catch(() => null);
    const manifest = pack?.manifest;
    const engine = this.#engine.value;
    const state = pack ? this.#engine.state : 'failed';
    const { running, queued } = this.#load;
    return {
      model: manifest?.name ?? '',
      fixture: manifest?.fixture ?? false,
      state,
      error: state === 'failed' ? ((this.#pack.error ?? this.#engine.error)?.message ?? null) : null,
      quantization: manifest?.quantization ?? null,
      running,
      queued,
      queueLimit: this.#admission.waitingLimit,
      contextLength: (engine?.manifest ?? manifest)?.config.contextLength ?? null,
      loadMs: engine?.loadMs ?? null,
      memory: engine && (await memoryOf(engine)),
      rates: this.#rates,
      calibration: manifest ? calibrationOf(manifest) : null,
      figures: this.#figures,
    };
  }

  get #rates() {
    return this.#engine.value?.scheduler.rates ?? { prefill: null, decode: null };
  }

  /** Whoever has a slot and waits for memory does not run yet. */
  get #load(): { running: number; queued: number; slots: number } {
    const { running: placed, waiting, runningLimit } = this.#admission;
    const short = this.#engine.value?.memory.waiting ?? 0;
    const running = placed - short;
    return { running, queued: waiting + short, slots: short > 0 ? Math.max(1, running) : runningLimit };
  }

  /** What every reply tells the gateway, for its estimates. */
  get #figures(): EdgeFigures {
    const engine = this.#engine.value;
    return {
      ...this.#rates,
      decodeBatch: engine?.scheduler.decodeBatch ?? null,
      ...this.#load,
      warm: engine !== null,
      loadMs: engine?.loadMs ?? null,
    };
  }

  async #generate(request: Request): Promise<Response> {
    const parsed = edgeRequestSchema.safeParse(await request.json().catch(() => null));
    if (!parsed.success)
      throw new RefusalError('bad_request', `Not a request of this engine's version: ${parsed.error.issues[0]?.message}.`);
    const ticket = this.#admission.enter();
    if (!ticket) {
      const seconds = retryAfter([...this.#running], this.#rates);
      throw new RefusalError('queue_full', 'The edge model is busy and its queue is full.', { retryAfter: seconds });
    }
    const came = this.#host.now();
    const cold = this.#engine.state !== 'ready';
    try {
      const engine = await this.load();
      const prompt = preparePrompt(engine, parsed.data);
      return this.#stream(engine, parsed.data, prompt, { ticket, came, cold }, request.signal);
    } catch (error) {
      ticket.leave();
      throw error;
    }
  }

  /** Answers at once and generates in the background. The client may leave in two ways, and either stops the session: its signal, or its end of the stream. */
  #stream(engine: Engine, request: EdgeRequest, prompt: Prompt, entry: Entry, clientSignal: AbortSignal): Response {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(
      undefined,
      new CountQueuingStrategy({ highWaterMark: WRITE_AHEAD }),
    );
    const writer = writable.getWriter();
    const gone = new AbortController();
    const end = (reason: Error) => {
      gone.abort(reason);
      writer.abort(gone.signal.reason).catch(() => {});
    };
    const leave = () => end(new Error('The client is gone.'));
    if (clientSignal.aborted) leave();
    clientSignal.addEventListener('abort', leave, { once: true });
    writer.closed.catch(leave);
    const events = new EventWriter(writer, {
      stallMs: this.#config.stallMs,
      paceMs: this.#host.paceMs ?? 0,
      onStall: () => end(new Error('The client stays connected but does not read.')),
      now: () => this.#host.now(),
    });
    const running = this.#run(engine, request, prompt, entry, events, gone.signal).finally(async () => {
      clientSignal.removeEventListener('abort', leave);
      await events.close();
    });
    this.#host.waitUntil(running);
    return new Response(readable, { headers: { 'content-type': 'application/x-ndjson' } });
  }

  async #run(
    engine: Engine,
    request: EdgeRequest,
    prompt: Prompt,
    { ticket, came, cold }: Entry,
    events: EventWriter,
    signal: AbortSignal,
  ): Promise<void> {
    const { contextLength } = engine.manifest.config;
    const limit = Math.min(request.maxTokens ?? request.capTokens ?? contextLength, contextLength - prompt.ids.length);
    const progress: Progress = { prompt: prompt.ids.length, answer: limit };
    try {
      await ticket.start(signal);
      this.#running.add(progress);
      const place = () => ({ queueMs: Math.round(this.#host.now() - came), cold, figures: this.#figures });
      // Drafted tokens would be rows that other answers have to wait for.
      const alone = () => this.#running.size === 1;
      for await (const event of answer(engine, request, prompt, place, alone, signal)) {
        if (event.type === 'start') progress.prompt -= event.cachedTokens;
        if (event.type === 'delta') Object.assign(progress, { prompt: 0, answer: limit - event.tokens });
        // Whoever sees the end of an answer may rely on the place being free.
        if (event.type === 'finish') this.#leave(ticket, progress);
        await events.write(event.type === 'finish' ? { ...event, figures: this.#figures } : event);
      }
    } catch (error) {
      if (signal.aborted) return;
      // Anything but a clean refusal of the stage leaves its memory in doubt: the next request loads anew.
      if (!(error instanceof StageError)) this.#engine.drop(engine);
      const event = failure(error);
      console.log(JSON.stringify({ event: 'edge_failed', request: request.id, ...event }));
      await events.write(event).catch(() => {});
    } finally {
      this.#leave(ticket, progress);
    }
  }

  #leave(ticket: Ticket, progress: Progress): void {
    this.#running.delete(progress);
    ticket.leave();
  }
}

/** A request that was let in: its place, when it came (milliseconds), and whether the model had to be loaded for it. */
interface Entry {
  ticket: Ticket;
  came: number;
  cold: boolean;
}

/** Random weights say noise: what is tried with them is the way, not the answers. */
const calibrationOf = ({ calibration, fixture, name, config }: Manifest) =>
  calibration ?? (fixture ? null : priorCalibration(name, config));

async function memoryOf({ scheduler, prefixCache }: Engine): Promise<NonNullable<EdgeStatus['memory']>> {
  const [memory, cacheBytes] = await Promise.all([scheduler.memory(), prefixCache.bytes()]);
  const { wasmBytes, weightBytes, sessionBytes } = memory;
  return { wasmBytes, weightBytes, sessionBytes: sessionBytes - cacheBytes, cacheBytes };
}
