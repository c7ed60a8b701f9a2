import { ApiError } from '../../routes/errors.ts';
import type { ChatBody } from '../../routes/gateway.ts';
import { within } from '../../routes/within.ts';
import { log } from '../observe/log.ts';
import { Superseded } from '../superseded.ts';
import { Account } from './account.ts';
import { attempt, type OriginCall } from './attempt.ts';
import type { TimeLimit } from './deadline.ts';
import { unreadable } from './demand.ts';
import type { Endpoint } from './endpoint.ts';
import { cold, OriginFailure, timedOut } from './failure.ts';
import type { Demand, Pool } from './pool.ts';
import { retryDelay } from './retry.ts';
import type { TokenCounts } from './usage.ts';

/** Who answered, and what happened before, for the reason header. */
export interface PoolAnswer {
  body: ChatBody;
  /** `retried`, `hedged`. */
  notes: string[];
}

/** What a call needs of the world besides the pool. */
export interface CallTools {
  /** The client of an endpoint: the network, or its binding. */
  fetchOf(binding: string | null): typeof fetch;
  /** Goes on after the response is complete. */
  background(work: Promise<unknown>): void;
}

/** A call, and when all attempts at it must be over. */
type BoundedCall = OriginCall & { limit: TimeLimit };

/** A pool that sleeps is asked so often, milliseconds. */
const wakeEveryMs = 5_000;
/** And given so long. */
const wakeMs = 25_000;

/**
 * Asks a pool: one endpoint; another one, or the same later, when that fails before its first token; a second one beside it when the first token is late.
 * Resolves when a stream's first token is there, or with the whole body otherwise. Throws like `attempt`.
 */
export async function callPool(pool: Pool, call: OriginCall, demand: Demand, tools: CallTools): Promise<PoolAnswer> {
  const { modalities, regions } = demand;
  // What nobody has looked at is not even shown to those who do not ask for it.
  if (!pool.reads(modalities, regions)) throw unreadable(modalities, pool.config.model);
  const notes: string[] = [];
  const tried = new Set<Endpoint>();
  pool.retries.deposit();
  pool.hedges.deposit();
  if (pool.isCold(demand, Date.now())) {
    if (pool.mayWake(Date.now(), wakeEveryMs)) tools.background(wake(pool, call, demand, tools));
    throw cold();
  }
  const limit = limitOf(pool, call);
  if (Date.now() >= limit.endsAt) throw timedOut('answer', limit.ms);
  for (let attempts = 1; ; attempts++) {
    const endpoint = pool.choose(demand, Date.now(), tried) ?? pool.choose(demand, Date.now())!;
    tried.add(endpoint);
    try {
      return { body: await askOrHedge(pool, endpoint, tried, notes, { ...call, limit }, demand, tools), notes };
    } catch (error) {
      const delay = error instanceof OriginFailure ? delayOf(error, attempts, pool, tried, call, demand) : null;
      // The time of all attempts together has an end.
      if (delay === null || Date.now() + delay >= limit.endsAt || !pool.retries.take()) throw error;
      log('origin_retry', { id: call.id, endpoint: endpoint.config.name, code: (error as OriginFailure).code, attempt: attempts });
      if (!notes.includes('retried')) notes.push('retried');
      await pause(delay, call.signal);
    }
  }
}

/** A pool's own time for all its attempts, or what is left of the request's, whichever ends first. */
function limitOf({ config }: Pool, { limit }: OriginCall): TimeLimit {
  const { total } = config.timeouts;
  const own = { endsAt: Date.now() + total, ms: total };
  return limit && limit.endsAt < own.endsAt ? limit : own;
}

function delayOf(
  failure: OriginFailure,
  attempts: number,
  pool: Pool,
  tried: Set<Endpoint>,
  call: OriginCall,
  demand: Demand,
): number | null {
  const state = {
    attempts,
    retries: pool.config.retries,
    another: pool.choose(demand, Date.now(), tried) !== null,
    idempotent: call.request.body.store !== true,
    stream: call.request.stream,
  };
  return retryDelay(failure, state, Math.random());
}

/** One attempt; and a second one elsewhere if the first token of a stream is later than nearly always, as far as the budget goes. The first to answer wins. */
async function askOrHedge(
  pool: Pool,
  endpoint: Endpoint,
  tried: Set<Endpoint>,
  notes: string[],
  call: BoundedCall,
  demand: Demand,
  tools: CallTools,
): Promise<ChatBody> {
  const patience = call.request.stream ? pool.hedgeAfter(demand.promptTokens, Date.now()) : null;
  if (patience === null) return ask(pool, endpoint, call, demand, tools, null);
  const first = new AbortController();
  const asking = ask(pool, endpoint, call, demand, tools, first);
  const early = await within(asking, patience);
  if (early) return early;
  const other = pool.choose(demand, Date.now(), tried);
  if (!other || pool.isSaturated(Date.now()) || call.request.body.store === true || !pool.hedges.take()) return asking;
  tried.add(other);
  notes.push('hedged');
  log('origin_hedge', { id: call.id, endpoint: endpoint.config.name, other: other.config.name, afterMs: Math.round(patience) });
  const second = new AbortController();
  const racing = ask(pool, other, call, demand, tools, second);
  return firstOf([asking, racing], [first, second]);
}

/** The first success; whoever comes later is called off, also when it has succeeded in the same moment. Throws the first call's error when both fail. */
async function firstOf(calls: Promise<ChatBody>[], controllers: AbortController[]): Promise<ChatBody> {
  const outcomes = calls.map((call, i) => call.then((body) => ({ body, i })));
  try {
    const winner = await Promise.any(outcomes);
    controllers.forEach((controller, i) => {
      if (i !== winner.i) controller.abort(new Superseded('another endpoint was faster'));
    });
    return winner.body;
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

/**
 * One attempt at one endpoint, with the endpoint's books kept.
 * @param controller calls this attempt off and no other; null where nobody will
 */
async function ask(
  pool: Pool,
  endpoint: Endpoint,
  call: BoundedCall,
  demand: Demand,
  tools: CallTools,
  controller: AbortController | null,
): Promise<ChatBody> {
  const { model, timeouts } = pool.config;
  const { name, binding } = endpoint.config;
  const { stream } = call.request;
  const flight = endpoint.sent(demand.promptTokens, Date.now(), stream);
  const account = new Account({ id: call.id, model, endpoint: name });
  const signal = controller ? AbortSignal.any([call.signal, controller.signal]) : call.signal;
  const unfinished = () => (!signal.aborted ? 'failed' : signal.reason instanceof Superseded ? 'superseded' : 'aborted');
  const left = () => endpoint.left(flight);
  // One that nobody has begun to read never ends by itself.
  if (stream) signal.addEventListener('abort', left, { once: true });
  let begun = false;
  const onEnd = (used: TokenCounts, complete: boolean) => {
    if (!controller?.signal.aborted) call.onEnd?.(used, complete);
    if (!stream) endpoint.answered(flight, Date.now(), false);
    left();
    account.close(complete ? 'complete' : unfinished(), used);
    if (begun && !complete && !signal.aborted) endpoint.failed('broken', null, Date.now());
  };
  const events = { onFirstToken: () => pool.answered(endpoint, flight, Date.now()), onEnd };
  try {
    const { limit } = call;
    const body = await attempt({ endpoint: endpoint.config, timeouts, limit, call, signal, fetch: tools.fetchOf(binding), events });
    begun = true;
    return body;
  } catch (error) {
    account.close(unfinished(), { promptTokens: demand.promptTokens, completionTokens: stream ? 0 : null, estimated: true });
    if (error instanceof OriginFailure) {
      // What others have left of a request's time says nothing of who got the rest.
      const hurried = error.kind === 'timeout' && Date.now() >= call.limit.endsAt && Date.now() - flight.startedAt < 0.9 * timeouts.total;
      if (!hurried) endpoint.failed(error.kind, error.pauseMs, Date.now());
    }
    // It has found fault with the request, so it works.
    else if (error instanceof ApiError) endpoint.answered(flight, Date.now(), false);
    left();
    throw error;
  }
}

/** One token from whoever is being started: makes an autoscaler start it, and tells us when it is there. */
async function wake(pool: Pool, call: OriginCall, demand: Demand, tools: CallTools): Promise<void> {
  const endpoint = pool.choose(demand, Date.now());
  if (!endpoint) return;
  const body = { model: endpoint.config.model, max_tokens: 1, messages: [{ role: 'user' as const, content: 'Hello' }] };
  const request = { body, raw: body, unknown: [], stream: false, includeUsage: false };
  const signal = AbortSignal.timeout(wakeMs);
  const limit = { endsAt: Date.now() + wakeMs, ms: wakeMs };
  const own = { request, limit, id: `${call.id}-wake`, signal, promptBytes: 5, thinking: false };
  await ask(pool, endpoint, own, demand, tools, null).catch(() => {});
}

/** Waits, but not for a client that has left. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
}
