import { DurableObject } from 'cloudflare:workers';
import { openPack, type Pack } from '../../models/pack/reader.ts';
import { StageError } from '../../wasm/engine/stage.ts';
import { Admission, type Ticket } from './admission.ts';
import { answer, failure, type Prompt, preparePrompt } from './answer.ts';
import { type EdgeConfig, type EdgeEnv, parseEdgeConfig } from './config.ts';
import { type Engine, loadEngine, openStorage } from './engine.ts';
import { LazyLoad } from './lazy-load.ts';
import { ndjsonLine } from './ndjson.ts';
import type { EdgeRequest, EdgeStatus } from './protocol.ts';
import { RefusalError } from './refusal.ts';
import { edgeRequestSchema } from './request-schema.ts';

/** Events written ahead of a slow reader: enough that one token's way to the client never costs a session its turn. */
const WRITE_AHEAD = 16;
/** Seconds; an answer at the edge is short. */
const QUEUE_RETRY_AFTER = 2;

/** Deployed, this clock stands still during computation; it is read after I/O and at yields only. */
const now = (): number => performance.now();

/**
 * One replica of the edge model; the object's name is `model:region:replica`. A Durable Object, and not a plain Worker, because only here may one request's
 * turn of the engine do work for another's: sessions share batches.
 */
export class EdgeModel extends DurableObject<EdgeEnv> {
  readonly #config: EdgeConfig;
  readonly #admission: Admission;
  readonly #pack: LazyLoad<Pack>;
  readonly #engine: LazyLoad<Engine>;

  constructor(state: DurableObjectState, env: EdgeEnv) {
    super(state, env);
    this.#config = parseEdgeConfig(env);
    this.#admission = new Admission(this.#config.sessions, this.#config.queue);
    this.#pack = new LazyLoad(async () => openPack(openStorage(env, this.#config)), now);
    this.#engine = new LazyLoad(async () => loadEngine(await this.#pack.get(), this.#config, now), now);
  }

  override async fetch(request: Request): Promise<Response> {
    const route = `${request.method} ${new URL(request.url).pathname}`;
    if (route === 'GET /status') return Response.json(await this.#status());
    if (route !== 'POST /generate') return new Response(null, { status: 404 });
    try {
      return await this.#generate(request);
    } catch (error) {
      if (error instanceof RefusalError) return error.response();
      throw error;
    }
  }

  async #generate(request: Request): Promise<Response> {
    const parsed = edgeRequestSchema.safeParse(await request.json().catch(() => null));
    if (!parsed.success)
      throw new RefusalError('bad_request', `Not a request of this engine's version: ${parsed.error.issues[0]?.message}.`);
    const ticket = this.#admission.enter();
    if (!ticket) throw new RefusalError('queue_full', 'The edge model is busy and its queue is full.', { retryAfter: QUEUE_RETRY_AFTER });
    try {
      const engine = await this.#loadedEngine();
      const prompt = preparePrompt(engine, parsed.data);
      return this.#stream(engine, parsed.data, prompt, ticket, request.signal);
    } catch (error) {
      ticket.leave();
      throw error;
    }
  }

  async #loadedEngine(): Promise<Engine> {
    try {
      return await this.#engine.get();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new RefusalError('model_unavailable', `The edge model could not be loaded: ${reason}`, { retryAfter: this.#engine.retryAfter });
    }
  }

  /** Answers at once and generates in the background. The client may leave in two ways, and either stops the session: its signal, or its end of the stream. */
  #stream(engine: Engine, request: EdgeRequest, prompt: Prompt, ticket: Ticket, clientSignal: AbortSignal): Response {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(
      undefined,
      new CountQueuingStrategy({ highWaterMark: WRITE_AHEAD }),
    );
    const writer = writable.getWriter();
    const gone = new AbortController();
    const leave = () => {
      gone.abort(new Error('The client is gone.'));
      writer.abort(gone.signal.reason).catch(() => {});
    };
    if (clientSignal.aborted) leave();
    clientSignal.addEventListener('abort', leave, { once: true });
    writer.closed.catch(leave);
    this.ctx.waitUntil(
      this.#run(engine, request, prompt, ticket, writer, gone.signal).finally(() => clientSignal.removeEventListener('abort', leave)),
    );
    return new Response(readable, { headers: { 'content-type': 'application/x-ndjson' } });
  }

  async #run(
    engine: Engine,
    request: EdgeRequest,
    prompt: Prompt,
    ticket: Ticket,
    writer: WritableStreamDefaultWriter<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const write = async (event: unknown) => {
      await writer.ready;
      writer.write(ndjsonLine(event)).catch(() => {});
    };
    try {
      const entered = now();
      await ticket.start(signal);
      for await (const event of answer(engine, request, prompt, Math.round(now() - entered), signal)) {
        // Whoever sees the end of an answer may rely on the place being free.
        if (event.type === 'finish') ticket.leave();
        await write(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      // Anything but a clean refusal of the stage leaves its memory in doubt: the next request loads anew.
      if (!(error instanceof StageError)) this.#engine.drop(engine);
      const event = failure(error);
      console.log(JSON.stringify({ event: 'edge_failed', request: request.id, ...event }));
      await write(event).catch(() => {});
    } finally {
      ticket.leave();
      await writer.close().catch(() => {});
    }
  }

  async #status(): Promise<EdgeStatus> {
    // The manifest is small: a cold object can say what it is without loading the weights.
    const pack = await this.#pack.get().catch(() => null);
    const manifest = pack?.manifest;
    const engine = this.#engine.value;
    const state = pack ? this.#engine.state : 'failed';
    return {
      model: manifest?.name ?? '',
      fixture: manifest?.fixture ?? false,
      state,
      error: state === 'failed' ? ((this.#pack.error ?? this.#engine.error)?.message ?? null) : null,
      quantization: manifest?.quantization ?? null,
      running: this.#admission.running,
      queued: this.#admission.waiting,
      queueLimit: this.#admission.waitingLimit,
      contextLength: manifest?.config.contextLength ?? null,
      loadMs: engine?.loadMs ?? null,
      memory: engine ? await engine.scheduler.memory() : null,
      rates: engine?.scheduler.rates ?? { prefill: null, decode: null },
    };
  }
}
