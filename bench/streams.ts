import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Contender, startBare, startOurs, v8Flags } from './gateway/contenders.ts';
import type { Target } from './gateway/load.ts';
import { machine, quantile } from './machine.ts';
import { numberOption } from './options.ts';
import { cpuMs, peakMB, residentMB } from './process.ts';

const HELP = `Usage: npm run bench -- streams [--streams N] [--tokens N] [--every MS] [--stuck N] [--json FILE]

Many streams at once through one workerd, from an origin in this process: first one that runs a bare pass-through Worker, then one that runs the deployed
bundle. --streams (1000) clients get --tokens (100) tokens each, one every --every (500) milliseconds, and check every frame. Then --stuck (100) clients read
nothing while the origin would send 20 MB to each. Prints frames lost, how late tokens came, memory (resident, of workerd, also halfway: it must not grow with
the tokens), and how much was taken from the origin for clients that do not read. About two and a half minutes.
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

function ask({ port, path, headers: more }: Target, content: string): Promise<IncomingMessage> {
  const body = JSON.stringify({ model: 'pool', stream: true, messages: [{ role: 'user', content }] });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...more };
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', path, method: 'POST', headers, agent }, resolve);
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Reads a stream of counted tokens. Returns how many frames are missing or out of place, and how late each token came, milliseconds. */
async function readTokens(response: IncomingMessage, count: number, onToken: () => void): Promise<{ lost: number; lateMs: number[] }> {
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
        onToken();
        lateMs.push(Date.now() - Number(token[2]));
      }
      if (done) return { lost: lost + Math.abs(count - seen), lateMs };
    }
  }
  return { lost: lost + (count - seen) + 1, lateMs };
}

interface Sizes {
  streams: number;
  tokens: number;
  every: number;
  stuck: number;
}

export async function run(args: string[]): Promise<void> {
  const number = (value: string) => ({ type: 'string', default: value }) as const;
  const options = {
    streams: number('1000'),
    tokens: number('100'),
    every: number('500'),
    stuck: number('100'),
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return void process.stdout.write(HELP);
  const sizes = {
    streams: numberOption('streams', values.streams, { min: 1, whole: true }),
    tokens: numberOption('tokens', values.tokens, { min: 1, whole: true }),
    every: numberOption('every', values.every),
    stuck: numberOption('stuck', values.stuck, { whole: true }),
  };
  const folder = mkdtempSync(join(tmpdir(), 'nearside-streams-'));
  const origin = new Origin();
  await new Promise<void>((resolve) => origin.server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(origin.server.address() as AddressInfo).port}`;
  try {
    const results: object[] = [];
    for (const start of [startBare, startOurs]) {
      const contender = await start(join(folder, start.name), url);
      results.push({ name: contender.name, ...(await measure(contender, origin, sizes).finally(contender.stop)) });
    }
    const report = { machine: machine(), v8Flags, sizes, results };
    if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  } finally {
    origin.server.closeAllConnections();
    origin.server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure({ name, target, pid }: Contender, origin: Origin, sizes: Sizes) {
  const { streams, tokens, every, stuck } = sizes;
  const resident = () => residentMB(pid!);
  await readTokens(await ask(target, 'tokens 20 1'), 20, () => {});
  const before = resident();
  const cpuBefore = cpuMs(pid!);
  let seen = 0;
  let halfway = 0;
  const onToken = () => {
    if (++seen === Math.ceil((streams * tokens) / 2)) halfway = resident();
  };
  const stream = async () => readTokens(await ask(target, `tokens ${tokens} ${every}`), tokens, onToken);
  const many = await peakMB(pid!, Promise.all(Array.from({ length: streams }, stream)));
  const framesLost = many.result.reduce((sum, { lost }) => sum + lost, 0);
  const late = many.result.flatMap(({ lateMs }) => lateMs);
  const cpu = (1000 * (cpuMs(pid!) - cpuBefore)) / (streams * tokens);
  const idle = resident();
  const takenBefore = origin.takenBytes;
  const held = await peakMB(pid!, holdStuck(target, stuck));
  const taken = (origin.takenBytes - takenBefore) / stuck / 1e6;
  for (const response of held.result) response.destroy();
  const kilobytes = (peak: number, base: number, count: number) => (1024 * (peak - base)) / count;
  const report = {
    framesLost,
    lateMs: { p50: quantile(late, 0.5), p99: quantile(late, 0.99) },
    cpuMicrosecondsPerToken: cpu,
    memoryMB: { before, halfway, peak: many.peak },
    kilobytesPerStream: kilobytes(many.peak, before, streams),
    stuck: { offeredMB: STUCK_MEGABYTES, takenMB: taken, memoryMB: { before: idle, peak: held.peak } },
  };
  const whole = (value: number) => value.toFixed(0);
  console.log(`${name}: ${streams} streams of ${tokens} tokens, one every ${every} ms: ${framesLost} frames lost
  token late by            p50 ${whole(report.lateMs.p50)} ms, p99 ${whole(report.lateMs.p99)} ms (origin and clients share a core)
  CPU of workerd           ${whole(cpu)} µs a token
  memory of workerd        ${whole(before)} MB before, ${whole(halfway)} MB halfway, ${whole(many.peak)} MB at most: ${whole(report.kilobytesPerStream)} kB a stream
${stuck} clients that read nothing, ${STUCK_MEGABYTES} MB offered to each
  taken from the origin    ${taken.toFixed(2)} MB each, sockets' buffers included
  memory of workerd        ${whole(idle)} MB before, ${whole(held.peak)} MB at most: ${whole(kilobytes(held.peak, idle, stuck))} kB a stream
`);
  return report;
}

/** Clients that ask and do not read; resolves after the origin has had the time to send what anyone takes. */
async function holdStuck(target: Target, clients: number): Promise<IncomingMessage[]> {
  const responses = await Promise.all(Array.from({ length: clients }, () => ask(target, `all ${STUCK_MEGABYTES * 1e6}`)));
  for (const response of responses) response.pause();
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  return responses;
}
