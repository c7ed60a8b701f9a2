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
  const bindings = { EDGE_MODEL: (env as unknown as Env).EDGE_MODEL };
  return worker.fetch(new Request(`http://gateway.test${path}`, init), { ...bindings, ...variables }, createExecutionContext());
}

export interface Post {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Posts a chat request; `body` without messages says `text`. */
export function chat(variables: Environment, text: string, body: object = {}, { headers, signal }: Post = {}): Promise<Response> {
  return send(variables, '/v1/chat/completions', {
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
  const response = await fetch(`${inject('originUrl').replace(/\/v1$/, '')}/seen/${encodeURIComponent(id)}`);
  return response.json();
}

/** What the engine saw. */
export async function seenByEngine(): Promise<{ requests: number; aborted: string[] }> {
  const namespace = (env as unknown as Env).EDGE_MODEL!;
  const response = await namespace.get(namespace.idFromName('default:any:0')).fetch('http://engine.test/seen');
  return response.json();
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
