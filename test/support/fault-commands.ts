import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

/** Plays scripts of `fault-origin.ts`, where the commands are listed. */

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const common = { id: 'chatcmpl-origin', object: 'chat.completion.chunk', created: 1, model: 'origin-test' };
const usage = { prompt_tokens: 11, completion_tokens: 2, total_tokens: 13 };

export function originChunk(delta: object, finish: string | null = null): string {
  return `data: ${JSON.stringify({ ...common, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
}

const commandNames =
  /^(tokens|role|comment|usage|finish|done|error|half|raw|wait|stall|head|cut|reset|status|html|type|write|socket|drip|flood|giant|whole|hangup|gzipped|end)\b/;

/** The part of a script that is meant for this endpoint and attempt: alternatives are separated by `||` and begin with `NAME>` or `N>`, or with neither. */
export function alternativeFor(script: string, endpoint: string, attempt: number): string {
  for (const alternative of script.split('||').map((part) => part.trim())) {
    const selector = /^([\w-]+)>/.exec(alternative);
    if (!selector) return alternative;
    if (selector[1] === endpoint || selector[1] === String(attempt)) return alternative.slice(selector[0].length).trim();
  }
  return '';
}

/** @param stream the client asked for a stream */
export async function play(response: ServerResponse, script: string, stream: boolean): Promise<void> {
  const commands = script.split(';').map((command) => command.trim());
  if (!commands.some((command) => commandNames.test(command))) {
    const complete = script.includes('no usage') ? 'whole no-usage' : 'whole';
    commands.splice(0, commands.length, ...(stream ? ['role', 'tokens 2', 'finish', 'done'] : [complete]));
  }
  for (const command of commands) {
    if (response.destroyed) return;
    const [name = '', ...args] = command.split(' ');
    if (await playCommand(response, name, args, stream)) return;
  }
  response.end();
}

/** Plays one command; true when the response has ended with it, or never will. */
async function playCommand(response: ServerResponse, name: string, args: string[], stream: boolean): Promise<boolean> {
  const numbers = args.map(Number);
  const text = bytesOf(args.join(' '));
  switch (name) {
    case 'wait':
      await sleep(numbers[0] ?? 0);
      return false;
    case 'stall':
      return true;
    case 'cut':
    case 'reset':
      if (!stream && !response.headersSent && name === 'cut')
        writeHead(response, { 'content-type': 'application/json', 'content-length': '1000' });
      if (!stream && name === 'cut') response.write('{"id":"chatcmpl-ori');
      // What was written before must leave first.
      await sleep(50);
      if (name === 'cut') response.destroy();
      else response.socket?.resetAndDestroy();
      return true;
    case 'status':
      sendError(response, numbers[0] ?? 500, args.slice(1));
      return true;
    case 'html':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
      return true;
    case 'type':
      // name=value pairs of further headers may follow.
      writeHead(response, { 'content-type': args[0]!, ...pairs(args.slice(1)) });
      return false;
    case 'socket':
      // Past the HTTP layer: malformed heads and lying lengths.
      response.socket?.write(text);
      return false;
    case 'flood':
      await floodHeaders(response);
      return true;
    case 'hangup':
      await sleep(20);
      response.socket?.end();
      return true;
    case 'gzipped':
      writeHead(response, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      response.end(
        gzipSync(`${originChunk({ content: 't0 ' })}${originChunk({ content: 't1 ' })}${originChunk({}, 'stop')}data: [DONE]\n\n`),
      );
      return true;
    case 'whole':
      sendJson(response, 200, wholeAnswer(!args.includes('no-usage')));
      return true;
    case 'end':
      response.end();
      return true;
    default:
      await playBody(response, name, args, numbers, text);
      return false;
  }
}

async function playBody(response: ServerResponse, name: string, args: string[], numbers: number[], text: string): Promise<void> {
  if (!response.headersSent) writeHead(response, { 'content-type': 'text/event-stream' });
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
  if (name === 'write') response.write(Buffer.from(text, 'latin1'));
  if (name === 'drip')
    for (const byte of Buffer.from(bytesOf(args.slice(1).join(' ')), 'latin1')) await send(response, Buffer.of(byte), numbers[0]);
  if (name === 'giant')
    for (let sent = 0; sent < numbers[0]! && !response.destroyed; sent += 1_000_000) await send(response, 'x'.repeat(1_000_000), 1);
}

function writeHead(response: ServerResponse, headers: Record<string, string>): void {
  response.writeHead(200, headers);
  response.flushHeaders();
}

/** A response head that never ends, until the client has had enough. */
async function floodHeaders(response: ServerResponse): Promise<void> {
  response.socket?.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n');
  for (let i = 0; !response.destroyed; i++) {
    response.socket?.write(`x-filler-${i}: ${'x'.repeat(64)}\r\n`);
    await sleep(10);
  }
}

async function send(response: ServerResponse, data: string | Buffer, afterMs = 0): Promise<void> {
  if (afterMs > 0) await sleep(afterMs);
  if (!response.destroyed) response.write(data);
}

function wholeAnswer(withUsage: boolean): object {
  const choices = [{ index: 0, message: { role: 'assistant', content: 't0 t1 ' }, finish_reason: 'stop' }];
  return { ...common, object: 'chat.completion', choices, ...(withUsage ? { usage } : {}) };
}

function sendError(response: ServerResponse, status: number, extra: string[]): void {
  const headers: Record<string, string> =
    status === 429 && extra.length === 0
      ? { 'retry-after': '17' }
      : status >= 300 && status < 400
        ? { location: 'http://127.0.0.1:9/' }
        : {};
  response.writeHead(status, { 'content-type': 'application/json', ...headers, ...pairs(extra) });
  response.end(JSON.stringify({ error: { message: `Scripted ${status}.`, type: 'scripted_error', param: 'messages', code: 'scripted' } }));
}

/** `name=value` pairs; `_` stands for a space. */
function pairs(args: string[]): Record<string, string> {
  return Object.fromEntries(
    args
      .map((arg) => arg.split('='))
      .filter(([name, value]) => name && value !== undefined)
      .map(([name, value]) => [name, value!.replaceAll('_', ' ')]),
  );
}

/** `\n`, `\r`, `\s` (a space at an end) and `\xNN`, as bytes. */
function bytesOf(text: string): string {
  return text.replace(/\\(?:n|r|s|x([0-9a-f]{2}))/g, (match, hex) => {
    if (hex) return String.fromCharCode(Number.parseInt(hex, 16));
    return match === '\\n' ? '\n' : match === '\\r' ? '\r' : ' ';
  });
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
