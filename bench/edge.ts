import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { createParser } from 'eventsource-parser';
import { type DevServer, startDevServer } from '../test/support/dev-server.ts';
import { describeMachine, machine, median, quantile } from './machine.ts';
import { exitOnSignals, numberOption, packOption } from './options.ts';

const HELP = `Usage: npm run bench -- edge [--model PACK_DIR]... [--runs N] [--json FILE]

Serves each pack with npm run dev and asks it over HTTP, as a client would. Without --model: the pack that npm run dev serves by itself.
Prints load time, memory, time to first token at about 16, 64 and 256 prompt tokens, prefill and decode rates, and the inter-token gaps of a
stream proxied from an origin while the edge model is idle and while it is busy (wrangler dev runs both Workers in one process).
`;

const WORDS =
  'the people of a small town near the sea wake up early every day to buy fresh bread and talk about the weather before they go to work'.split(
    ' ',
  );
const TARGETS = [16, 64, 256];
const DECODE_TOKENS = 48;

interface Sample {
  promptTokens: number;
  ttftMs: number;
  decodeTokensPerSecond: number;
}

interface Report {
  pack: string;
  loadMs: number | null;
  memoryMB: { wasm: number; weights: number } | null;
  ttft: { promptTokens: number; medianMs: number; prefillTokensPerSecond: number; runs: number }[];
  decodeTokensPerSecond: number;
  originGapMs: { edge: 'idle' | 'busy'; p50: number; p99: number; gaps: number }[];
}

const prompt = (words: number, salt: number) => Array.from({ length: words }, (_, i) => WORDS[(i * 7 + salt) % WORDS.length]).join(' ');

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
}

/** Reads one streamed chat completion; calls `onText` at each piece of text with the time since the request. Throws what the server says when it is an error. */
export async function stream(url: string, body: object, onText: (ms: number) => void): Promise<Usage> {
  const started = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`);
  let usage: Usage = { prompt_tokens: 0, completion_tokens: 0 };
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      if (chunk.usage) usage = chunk.usage;
      if (chunk.choices[0]?.delta?.content) onText(performance.now() - started);
    },
  });
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
  return usage;
}

async function sample(server: DevServer, model: string, words: number, salt: number, maxTokens: number): Promise<Sample> {
  const times: number[] = [];
  const body = { model, max_tokens: maxTokens, temperature: 0, messages: [{ role: 'user', content: prompt(words, salt) }] };
  const usage = await stream(server.url, body, (ms) => times.push(ms));
  const first = times[0] ?? Number.NaN;
  return {
    promptTokens: usage.prompt_tokens,
    ttftMs: first,
    decodeTokensPerSecond: ((usage.completion_tokens - 1) / (times.at(-1)! - first)) * 1000,
  };
}

/** An origin that sends a token every 20 ms, `tokens` times: precise enough to see what the gateway adds. */
export async function metronome(tokens: number): Promise<{ url: string; close(): void }> {
  const chunk = (delta: object, finish: string | null) =>
    `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 0, model: 'metronome', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  const answer = async (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let i = 0; i < tokens; i++) {
      response.write(chunk({ content: ` ${i}` }, null));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    response.end(`${chunk({}, 'stop')}data: [DONE]\n\n`);
  };
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => void answer(response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, close: () => server.close() };
}

async function originGaps(server: DevServer, streams: number): Promise<number[]> {
  const gaps: number[] = [];
  for (let i = 0; i < streams; i++) {
    let last: number | null = null;
    await stream(server.url, { model: 'metronome', messages: [{ role: 'user', content: 'tick' }] }, (ms) => {
      if (last !== null) gaps.push(ms - last);
      last = ms;
    });
  }
  return gaps;
}

async function gapsWhile(server: DevServer, edge: 'idle' | 'busy', model: string): Promise<Report['originGapMs'][number]> {
  let busy = true;
  const load = (async () => {
    for (let salt = 100; busy && edge === 'busy'; salt++) await sample(server, model, 60, salt, DECODE_TOKENS).catch(() => undefined);
  })();
  const gaps = await originGaps(server, 4);
  busy = false;
  await load;
  return { edge, p50: quantile(gaps, 0.5), p99: quantile(gaps, 0.99), gaps: gaps.length };
}

async function measure(pack: string | null, runs: number): Promise<Report> {
  const origin = await metronome(100);
  const args = [
    ...(pack === null ? [] : ['--model', pack]),
    ...['NEARSIDE_EDGE_MAX_PROMPT_TOKENS:1024', `NEARSIDE_ORIGIN_URL:${origin.url}`, 'NEARSIDE_ORIGIN_MODEL:metronome'].flatMap((v) => [
      '--var',
      v,
    ]),
  ];
  exitOnSignals();
  const server = await startDevServer(args);
  try {
    const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string }[] };
    const model = data.map(({ id }) => id).find((id) => id !== 'nearside-auto' && id !== 'metronome');
    if (!model) throw new Error('the server offers no edge model');
    const warm = await sample(server, model, 8, 0, 4);
    const long = await sample(server, model, 40, 0, 4);
    const perWord = (long.promptTokens - warm.promptTokens) / 32;
    const wordsFor = (tokens: number) => Math.max(1, Math.round(8 + (tokens - warm.promptTokens) / perWord));
    const ttft: Report['ttft'] = [];
    const decode: number[] = [];
    for (const target of TARGETS) {
      const samples: Sample[] = [];
      for (let run = 0; run < runs; run++)
        samples.push(await sample(server, model, wordsFor(target), run + target, target === 64 ? DECODE_TOKENS : 2));
      if (target === 64) decode.push(...samples.map((s) => s.decodeTokensPerSecond));
      const medianMs = median(samples.map((s) => s.ttftMs));
      const promptTokens = median(samples.map((s) => s.promptTokens));
      ttft.push({ promptTokens, medianMs, prefillTokensPerSecond: (promptTokens / medianMs) * 1000, runs });
    }
    const originGapMs = [await gapsWhile(server, 'idle', model), await gapsWhile(server, 'busy', model)];
    const health = (await (await fetch(`${server.url}/healthz`)).json()) as {
      edge: { loadMs: number | null; memory: { wasmBytes: number; weightBytes: number } | null };
    };
    const memory = health.edge.memory;
    return {
      pack: `${model}${pack === null ? '' : ` (${pack.split('/').at(-1)})`}`,
      loadMs: health.edge.loadMs,
      memoryMB: memory && { wasm: memory.wasmBytes / 1e6, weights: memory.weightBytes / 1e6 },
      ttft,
      decodeTokensPerSecond: median(decode),
      originGapMs,
    };
  } finally {
    await server.stop();
    origin.close();
  }
}

function print(report: Report): void {
  const f = (value: number | null | undefined, digits = 0) => (value === null || value === undefined ? '-' : value.toFixed(digits));
  console.log(
    `\n${report.pack}: load ${f(report.loadMs)} ms, WASM memory ${f(report.memoryMB?.wasm)} MB (weights ${f(report.memoryMB?.weights)} MB)`,
  );
  for (const row of report.ttft)
    console.log(
      `  ${f(row.promptTokens).padStart(4)} prompt tokens: first token after ${f(row.medianMs)} ms, ${f(row.prefillTokensPerSecond)} tokens/s (median of ${row.runs})`,
    );
  console.log(`  decode ${f(report.decodeTokensPerSecond, 1)} tokens/s (median, ${DECODE_TOKENS} tokens)`);
  for (const row of report.originGapMs)
    console.log(
      `  origin inter-token gap, edge ${row.edge}: p50 ${f(row.p50, 1)} ms, p99 ${f(row.p99, 1)} ms (${row.gaps} gaps of 20 ms nominal)`,
    );
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', multiple: true },
      runs: { type: 'string', default: '5' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const runs = numberOption('runs', values.runs, { min: 1, whole: true });
  const packs = values.model?.map((pack) => packOption('model', pack)) ?? [null];
  const on = machine();
  console.log(describeMachine(on));
  const reports: Report[] = [];
  for (const pack of packs) {
    reports.push(await measure(pack, runs));
    print(reports.at(-1)!);
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine: on, reports }, null, 2)}\n`);
}
