import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { serveGateway } from '../test/support/workerd-serve.ts';
import { machine, quantile } from './machine.ts';

const HELP = `Usage: npm run bench -- streams [--streams N] [--tokens N] [--every MS] [--stuck N] [--json FILE]

Many streams at once through one workerd that runs the deployed bundle, from an origin in this process: --streams (1000) clients get --tokens (100) tokens
each, one every --every (100) milliseconds, and check every frame. Then --stuck (100) clients read nothing while the origin would send 20 MB to each.
Prints frames lost, how late tokens came, memory (resident, of workerd), and how much the gateway took from the origin for clients that do not read.
`;

const PAYLOAD = 'x'.repeat(16_000);
const STUCK_MEGABYTES = 20;

const chunk = (content: string, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'pool', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;

/** Sends counted tokens, or as much as the reader takes; counts what it has sent of the latter. */
class Origin {
  readonly server = createServer((incoming, response) => void this.#answer(incoming, response));
  takenBytes = 0;

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of incoming) text += part;
    const [command, count, everyMs] = (JSON.parse(text) as { messages: { content: string }[] }).messages[0]!.content.split(' ');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (command === 'tokens') await this.#sendTokens(response, Number(count), Number(everyMs));
    else await this.#sendAll(response, Number(count));
  }

  async #sendTokens(response: ServerResponse, count: number, everyMs: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      response.write(chunk(`${i}@${Date.now()} `));
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    response.end(`${chunk('', 'stop')}data: [DONE]\n\n`);
  }

  async #sendAll(response: ServerResponse, bytes: number): Promise<void> {
    const piece = chunk(PAYLOAD);
    for (let sent = 0; sent < bytes && !response.destroyed; sent += piece.length) {
      this.takenBytes += piece.length;
      if (!response.write(piece)) {
        await new Promise<void>((resolve) => {
          const go = () => {
            response.off('drain', go).off('close', go);
            resolve();
          };
          response.on('drain', go).on('close', go);
        });
      }
    }
  }
}

const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });

function ask(port: number, content: string): Promise<IncomingMessage> {
  const body = JSON.stringify({ model: 'pool', stream: true, messages: [{ role: 'user', content }] });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', path: '/v1/chat/completions', method: 'POST', headers, agent }, resolve);
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Reads a stream of counted tokens. Returns how many frames are missing or out of place, and how late each token came, milliseconds. */
async function readTokens(response: IncomingMessage, count: number): Promise<{ lost: number; lateMs: number[] }> {
  let text = '';
  const lateMs: number[] = [];
  let seen = 0;
  let lost = 0;
  for await (const part of response.setEncoding('utf8')) {
    text += part;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const token = /"content":"(\d+)@(\d+) "/.exec(text.slice(0, end));
      const done = text.startsWith('data: [DONE]');
      text = text.slice(end + 2);
      if (token) {
        if (Number(token[1]) !== seen) lost++;
        seen++;
        lateMs.push(Date.now() - Number(token[2]));
      }
      if (done) return { lost: lost + Math.abs(count - seen), lateMs };
    }
  }
  return { lost: lost + (count - seen) + 1, lateMs };
}

function residentMB(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

/** CPU time a process has used so far, milliseconds: Linux counts it in hundredths of a second. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** The most memory a process has while `work` runs. */
async function peakMB<T>(pid: number, work: Promise<T>): Promise<{ peak: number; result: T }> {
  let peak = residentMB(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMB(pid));
  }, 100);
  const result = await work.finally(() => clearInterval(timer));
  return { peak, result };
}

export async function run(args: string[]): Promise<void> {
  const number = (value: string) => ({ type: 'string', default: value }) as const;
  const options = {
    streams: number('1000'),
    tokens: number('100'),
    every: number('100'),
    stuck: number('100'),
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return void process.stdout.write(HELP);
  const [streams, tokens, every, stuck] = [values.streams, values.tokens, values.every, values.stuck].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const folder = mkdtempSync(join(tmpdir(), 'nearside-streams-'));
  const origin = new Origin();
  await new Promise<void>((resolve) => origin.server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(origin.server.address() as AddressInfo).port}/v1`;
  const gateway = await serveGateway(folder, {
    NEARSIDE_DEV: '1',
    NEARSIDE_ORIGINS: JSON.stringify([{ model: 'pool', endpoints: [{ url }] }]),
  });
  try {
    const pid = gateway.process.pid!;
    const stream = async () => readTokens(await ask(gateway.port, `tokens ${tokens} ${every}`), tokens);
    await readTokens(await ask(gateway.port, 'tokens 20 1'), 20);
    const before = residentMB(pid);
    const cpuBefore = cpuMs(pid);
    const many = await peakMB(pid, Promise.all(Array.from({ length: streams }, stream)));
    const lost = many.result.reduce((sum, { lost: frames }) => sum + frames, 0);
    const late = many.result.flatMap(({ lateMs }) => lateMs);
    const cpu = (1000 * (cpuMs(pid) - cpuBefore)) / (streams * tokens);
    const idle = residentMB(pid);
    const held = await peakMB(pid, holdStuck(gateway.port, stuck));
    const taken = origin.takenBytes / stuck / 1e6;
    for (const response of held.result) response.destroy();
    const report = {
      machine: machine(),
      streams,
      tokens,
      framesLost: lost,
      lateMs: { p50: quantile(late, 0.5), p99: quantile(late, 0.99) },
      cpuMicrosecondsPerToken: cpu,
      memoryMB: { before, peak: many.peak, perStream: (many.peak - before) / streams },
      stuck: {
        clients: stuck,
        offeredMB: STUCK_MEGABYTES,
        takenMB: taken,
        memoryMB: { before: idle, peak: held.peak, perStream: (held.peak - idle) / stuck },
      },
    };
    console.log(`${streams} streams of ${tokens} tokens, one every ${every} ms: ${lost} frames lost
  token late by            p50 ${report.lateMs.p50.toFixed(0)} ms, p99 ${report.lateMs.p99.toFixed(0)} ms (origin and clients share this machine)
  CPU of workerd           ${cpu.toFixed(0)} µs a token
  memory of workerd        ${before.toFixed(0)} MB before, ${many.peak.toFixed(0)} MB at most: ${(1024 * report.memoryMB.perStream).toFixed(0)} kB a stream
${stuck} clients that read nothing, ${STUCK_MEGABYTES} MB offered to each
  taken from the origin    ${taken.toFixed(2)} MB each, sockets' buffers included
  memory of workerd        ${idle.toFixed(0)} MB before, ${held.peak.toFixed(0)} MB at most: ${(1024 * report.stuck.memoryMB.perStream).toFixed(0)} kB a stream`);
    if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  } finally {
    await gateway.stop();
    origin.server.closeAllConnections();
    origin.server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Clients that ask and do not read; resolves after the origin has had the time to send what anyone takes. */
async function holdStuck(port: number, clients: number): Promise<IncomingMessage[]> {
  const responses = await Promise.all(Array.from({ length: clients }, () => ask(port, `all ${STUCK_MEGABYTES * 1e6}`)));
  for (const response of responses) response.pause();
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  return responses;
}
