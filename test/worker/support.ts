import { createExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { inject } from 'vitest';
import type { Env } from '../../worker/config.ts';
import worker from '../../worker/index.ts';
import type { SeenRequest } from '../support/seen-request.ts';

declare module 'vitest' {
  interface ProvidedContext {
    originUrl: string;
  }
}

export type Variables = Record<`NEARSIDE_${string}`, string>;

/** The gateway with the scripted engine and the misbehaving origin. */
export const withOrigin = (variables: Variables = {}): Variables => ({
  NEARSIDE_DEV: '1',
  NEARSIDE_ORIGIN_URL: inject('originUrl'),
  NEARSIDE_ORIGIN_MODEL: 'origin-test',
  ...variables,
});

/** The gateway with the scripted engine alone. */
export const edgeOnly = (variables: Variables = {}): Variables => ({ NEARSIDE_DEV: '1', ...variables });

/** The gateway with the origin alone. */
export const originOnly = (variables: Variables = {}): Environment => ({ ...withOrigin(variables), EDGE_MODEL: undefined });

export type Environment = Env & { EDGE_MODEL?: DurableObjectNamespace | undefined };

/** Sends a request to a gateway with these variables, in this isolate. */
export async function send(variables: Environment, path: string, init: RequestInit = {}): Promise<Response> {
  return sendTo(environment(variables), path, init);
}

/** One isolate's environment, for what it remembers from call to call. */
export function environment(variables: Environment): Env {
  return { EDGE_MODEL: (env as unknown as Env).EDGE_MODEL, ...variables } as Env;
}

/** Sends a request to the gateway of that environment. */
export async function sendTo(environment: Env, path: string, init: RequestInit = {}): Promise<Response> {
  return worker.fetch(new Request(`http://gateway.test${path}`, init), environment, createExecutionContext());
}

export interface Post {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Posts a chat request; `body` without messages says `text`. */
export function chat(variables: Environment, text: string, body: object = {}, post: Post = {}): Promise<Response> {
  return chatWith(environment(variables), text, body, post);
}

/** The same with the gateway of that environment. */
export function chatWith(environment: Env, text: string, body: object = {}, { headers, signal }: Post = {}): Promise<Response> {
  return sendTo(environment, '/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'nearside-auto', max_tokens: 16, messages: [{ role: 'user', content: text }], ...body }),
    signal,
  });
}

export interface ErrorAnswer {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** Status and error of a response, which must be in OpenAI's shape. */
export async function failure(response: Response): Promise<{ status: number } & ErrorAnswer['error']> {
  const body = (await response.json()) as ErrorAnswer;
  if (Object.keys(body.error).sort().join() !== 'code,message,param,type') throw new Error(`not OpenAI's shape: ${JSON.stringify(body)}`);
  return { status: response.status, ...body.error };
}

/** The data of a stream's events, parsed, `[DONE]` as it is; comments left out. */
// biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
export function dataOf(stream: string): any[] {
  return stream
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => (event === 'data: [DONE]' ? '[DONE]' : JSON.parse(event.slice(6))));
}

/** What the origin saw of the request with that id. */
export async function seenByOrigin(id: string): Promise<SeenRequest | null> {
  const response = await fetch(`${originRoot()}/seen/${encodeURIComponent(id)}`);
  return response.json();
}

/** All that origins saw with that id, in order. */
export async function attemptsAtOrigins(id: string): Promise<SeenRequest[]> {
  const response = await fetch(`${originRoot()}/attempts/${encodeURIComponent(id)}`);
  return response.json();
}

const originRoot = () => inject('originUrl').replace(/\/v1$/, '');

/** An endpoint of the misbehaving origin. */
export const endpoint = (name: string, more: object = {}) => ({ name, url: `${originRoot()}/e/${name}/v1`, ...more });

/** Sets what an endpoint's /health and /metrics say. */
export async function setEndpoint(name: string, state: { status?: number; metrics?: string | null }): Promise<void> {
  await (await fetch(`${originRoot()}/e/${name}/state`, { method: 'PUT', body: JSON.stringify(state) })).text();
}

/** How often an endpoint's /health and /metrics were asked. */
export async function scrapesOf(name: string): Promise<number> {
  return (await fetch(`${originRoot()}/e/${name}/scrapes`)).json();
}

/** The gateway with these pools and the scripted engine. */
export const withPools = (pools: object[], variables: Variables = {}): Variables => ({
  NEARSIDE_DEV: '1',
  NEARSIDE_ORIGINS: JSON.stringify(pools),
  ...variables,
});

/** What the engine saw. */
export async function seenByEngine(): Promise<{ requests: number; aborted: string[] }> {
  const namespace = (env as unknown as Env).EDGE_MODEL!;
  const response = await namespace.get(namespace.idFromName('default:any:0')).fetch('http://engine.test/seen');
  return response.json();
}

/** Sets what the engine says besides: of itself (`status`), and of its load with every reply (`figures`). */
export async function setEngine(state: { status?: object; figures?: object }): Promise<void> {
  const namespace = (env as unknown as Env).EDGE_MODEL!;
  const engine = namespace.get(namespace.idFromName('default:any:0'));
  await engine.fetch('http://engine.test/state', { method: 'PUT', body: JSON.stringify(state) });
}

/** Asks until it is so; throws after 5 s. */
export async function eventually<T>(what: string, ask: () => Promise<T | null | undefined | false>): Promise<T> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`It did not happen that ${what}.`);
}
