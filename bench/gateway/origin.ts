import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A model server that takes no time unless it is told to, in a process of its own: it must be nobody's bottleneck, so it looks for its orders in the body without parsing it.
 * `tokens N every MS` in a message gets N streamed tokens with the moment of their sending; anything else one answer, and `takes MS` that answer so much later. Prints its
 * port.
 */
const text = 'All happy families are alike; each unhappy family is unhappy in its own way. '.repeat(10);
const answer = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'pool',
    choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: 'stop' }],
    usage: { prompt_tokens: 200, completion_tokens: 180, total_tokens: 380 },
  }),
);
const answerHead = { 'content-type': 'application/json', 'content-length': answer.length };
const lastEvents = `${event('', 'stop')}data: [DONE]\n\n`;

function event(content: string, finish: string | null): string {
  const choices = [{ index: 0, delta: { content }, logprobs: null, finish_reason: finish }];
  return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'pool', choices })}\n\n`;
}

/** One clock for all processes of a machine, microseconds. */
const now = () => Number(process.hrtime.bigint() / 1000n);

function sendTokens(response: ServerResponse, count: number, everyMs: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let sent = 0;
  const send = () => {
    response.write(event(`${sent}@${now()} `, null));
    if (++sent < count) return;
    clearInterval(timer);
    response.end(lastEvents);
  };
  const timer = setInterval(send, everyMs);
  response.once('close', () => clearInterval(timer));
  send();
}

const server = createServer((incoming, response) => {
  const parts: Buffer[] = [];
  incoming.on('data', (part) => parts.push(part));
  incoming.on('end', () => {
    const body = Buffer.concat(parts).toString('latin1');
    const order = /tokens (\d+) every (\d+)/.exec(body);
    if (order) return sendTokens(response, Number(order[1]), Number(order[2]));
    const takes = /takes (\d+) ms/.exec(body);
    const send = () => response.writeHead(200, answerHead).end(answer);
    if (takes) setTimeout(send, Number(takes[1]));
    else send();
  });
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
