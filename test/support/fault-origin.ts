import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SeenRequest } from './seen-request.ts';

/**
 * An OpenAI-compatible origin on loopback that misbehaves on demand. The last message of a chat request is its script: commands in order, separated by `;`.
 *
 *   tokens N [MS]   N chunks, one every MS milliseconds
 *   role            a chunk with the role alone
 *   comment [N MS]  N comments, one every MS milliseconds
 *   usage | finish | done | error   the chunk of that kind
 *   half            half an event
 *   raw TEXT        that text as an event's data
 *   wait MS         silence
 *   stall           silence until the client leaves
 *   head            send the response's head
 *   cut             destroy the connection
 *   status N        answer with that status and an error body
 *   html | text     answer 200 with something else
 *   (nothing)       a complete answer: role; tokens 2; finish; done
 *
 * GET /seen/ID tells what arrived with that x-request-id: body, headers, and whether the client left before the end, and when.
 */
export interface FaultOrigin {
  /** Base URL, ends in /v1. */
  url: string;
  close(): Promise<void>;
}

export async function startFaultOrigin(): Promise<FaultOrigin> {
  const seen = new Map<string, SeenRequest>();
  const server = createServer((request, response) => {
    handle(request, response, seen).catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

async function handle(request: IncomingMessage, response: ServerResponse, seen: Map<string, SeenRequest>): Promise<void> {
  const path = request.url ?? '';
  if (path.startsWith('/seen/')) return sendJson(response, 200, seen.get(decodeURIComponent(path.slice(6))) ?? null);
  if (path === '/v1/models') return sendJson(response, 200, { object: 'list', data: [] });
  if (path !== '/v1/chat/completions') return sendJson(response, 404, { error: { message: `no ${path}` } });
  let text = '';
  for await (const chunk of request) text += chunk;
  const record: SeenRequest = {
    body: JSON.parse(text),
    headers: request.headers as Record<string, string>,
    aborted: false,
    abortedAt: null,
  };
  seen.set(String(request.headers['x-request-id']), record);
  response.on('close', () => {
    record.aborted = !response.writableFinished;
    record.abortedAt = record.aborted ? Date.now() : null;
  });
  const messages = record.body.messages as { content: unknown }[];
  const script = String(messages.at(-1)?.content ?? '');
  await (record.body.stream ? playStream(response, script) : playWhole(response, script));
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const common = { id: 'chatcmpl-origin', object: 'chat.completion.chunk', created: 1, model: 'origin-test' };
const usage = { prompt_tokens: 11, completion_tokens: 2, total_tokens: 13 };

export function originChunk(delta: object, finish: string | null = null): string {
  return `data: ${JSON.stringify({ ...common, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
}

async function playStream(response: ServerResponse, script: string): Promise<void> {
  const commands = script.split(';').map((command) => command.trim());
  if (
    !commands.some((command) => /^(tokens|role|comment|usage|finish|done|error|half|raw|wait|stall|head|cut|status|html)\b/.test(command))
  ) {
    commands.splice(0, commands.length, 'role', 'tokens 2', 'finish', 'done');
  }
  for (const command of commands) {
    const [name = '', ...args] = command.split(' ');
    if (response.destroyed) return;
    if (await playCommand(response, name, args)) return;
  }
  response.end();
}

/** Plays one command; true when the response has ended with it. */
async function playCommand(response: ServerResponse, name: string, args: string[]): Promise<boolean> {
  const numbers = args.map(Number);
  if (name === 'status') {
    sendError(response, numbers[0] ?? 500);
    return true;
  }
  if (name === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
    return true;
  }
  if (name === 'wait') await sleep(numbers[0] ?? 0);
  else if (name === 'stall') return true;
  else if (name === 'cut') {
    // What was written before must leave first.
    await sleep(50);
    response.destroy();
    return true;
  } else {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    if (name === 'tokens') for (let i = 0; i < numbers[0]!; i++) await send(response, originChunk({ content: `t${i} ` }), numbers[1]);
    if (name === 'comment') for (let i = 0; i < (numbers[0] ?? 1); i++) await send(response, ': ping\n\n', numbers[1]);
    if (name === 'role') response.write(originChunk({ role: 'assistant', content: null }));
    if (name === 'finish') response.write(originChunk({}, 'stop'));
    if (name === 'usage') response.write(`data: ${JSON.stringify({ ...common, choices: [], usage })}\n\n`);
    if (name === 'done') response.write('data: [DONE]\n\n');
    if (name === 'error') response.write(`data: ${JSON.stringify({ error: { message: 'Scripted failure.', code: 'scripted' } })}\n\n`);
    if (name === 'half') response.write('data: {"id":"chatcmpl-ori');
    if (name === 'raw') response.write(`data: ${args.join(' ')}\n\n`);
  }
  return false;
}

async function send(response: ServerResponse, text: string, afterMs = 0): Promise<void> {
  if (afterMs > 0) await sleep(afterMs);
  if (!response.destroyed) response.write(text);
}

async function playWhole(response: ServerResponse, script: string): Promise<void> {
  for (const command of script.split(';').map((part) => part.trim())) {
    const [name, argument] = command.split(' ');
    if (name === 'wait') await sleep(Number(argument));
    if (name === 'stall') return;
    if (name === 'status') return sendError(response, Number(argument));
    if (name === 'html' || name === 'text') return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
    if (name === 'cut') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"id":"chatcmpl-ori');
      await sleep(50);
      return void response.destroy();
    }
  }
  const choices = [{ index: 0, message: { role: 'assistant', content: 't0 t1 ' }, finish_reason: 'stop' }];
  const completion = { ...common, object: 'chat.completion', choices, ...(script.includes('no usage') ? {} : { usage }) };
  sendJson(response, 200, completion);
}

function sendError(response: ServerResponse, status: number): void {
  const headers: Record<string, string> =
    status === 429 ? { 'retry-after': '17' } : status === 302 ? { location: 'http://127.0.0.1:9/' } : {};
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message: `Scripted ${status}.`, type: 'scripted_error', param: 'messages', code: 'scripted' } }));
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
