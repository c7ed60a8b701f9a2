import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Endpoint, Flight } from '../worker/origin/endpoint.ts';
import { hash } from '../worker/origin/pick.ts';
import { Pool } from '../worker/origin/pool.ts';
import type { EndpointConfig } from '../worker/origin/pool-config.ts';
import { quantile } from './machine.ts';
import { fileOption, numberOption } from './options.ts';
import { PrefixCache } from './prefix-cache.ts';
import { generator } from './random.ts';

const HELP = `Usage: npm run bench -- pick --trace FILE [--endpoints N] [--rate TOKENS_PER_S] [--cache BLOCKS] [--isolates N] [--speed X,X..] [--json FILE]

Replays a trace of requests with prefix block ids (Mooncake's conversation trace: JSON lines with timestamp, input_length, output_length, hash_ids of
512 tokens each) against a simulated pool, once for each way to pick an endpoint. An endpoint evaluates one prompt after the other at --rate (8000)
tokens a second, less what its prefix cache of --cache (2000) blocks holds, least recently used out first. Gateways are --isolates (16) that know
their own requests and, every 1.5 s, how many wait at each endpoint. --speed plays the trace faster: 1, 1.5 and 2 without it.
Prints the part of the prompt tokens found in a prefix cache and the time to first token. A simulation: no server is asked.
`;

const BLOCK_TOKENS = 512;
/** Tokens' worth of time that a request costs whatever its length. */
const FIXED_TOKENS = 64;
const POLL_MS = 1_500;

interface TraceRequest {
  timestamp: number;
  input_length: number;
  hash_ids: number[];
}

interface Waiting {
  endpoint: number;
  firstTokenAt: number;
  arrived(at: number): void;
}

/** Endpoints that evaluate one prompt after the other. */
class SimulatedPool {
  readonly freeAt: number[];
  readonly busyMs: number[];
  readonly #caches: PrefixCache[];
  readonly #rate: number;
  waiting: Waiting[] = [];
  hitTokens = 0;
  tokens = 0;
  readonly ttfts: number[] = [];

  constructor(endpoints: number, tokensPerSecond: number, cacheBlocks: number) {
    this.freeAt = Array(endpoints).fill(0);
    this.busyMs = Array(endpoints).fill(0);
    this.#caches = Array.from({ length: endpoints }, () => new PrefixCache(cacheBlocks));
    this.#rate = tokensPerSecond / 1000;
  }

  /** Requests that wait for their first token, by endpoint. */
  depths(): number[] {
    const depths = this.freeAt.map(() => 0);
    for (const { endpoint } of this.waiting) depths[endpoint]!++;
    return depths;
  }

  send(request: TraceRequest, endpoint: number, now: number, arrived: (at: number) => void): void {
    const hits = Math.min(request.input_length, this.#caches[endpoint]!.use(request.hash_ids) * BLOCK_TOKENS);
    const workMs = (FIXED_TOKENS + request.input_length - hits) / this.#rate;
    const firstTokenAt = Math.max(now, this.freeAt[endpoint]!) + workMs;
    this.freeAt[endpoint] = firstTokenAt;
    this.busyMs[endpoint]! += workMs;
    this.hitTokens += hits;
    this.tokens += request.input_length;
    this.ttfts.push(firstTokenAt - now);
    this.waiting.push({ endpoint, firstTokenAt, arrived });
  }

  /** Lets time pass: first tokens arrive, in their order. */
  advance(now: number): void {
    const due = this.waiting.filter((one) => one.firstTokenAt <= now).sort((a, b) => a.firstTokenAt - b.firstTokenAt);
    if (due.length === 0) return;
    this.waiting = this.waiting.filter((one) => one.firstTokenAt > now);
    for (const one of due) one.arrived(one.firstTokenAt);
  }
}

/** Chooses an endpoint; may return what to do when the first token arrives. */
type Policy = (request: TraceRequest, now: number, pool: SimulatedPool) => { endpoint: number; arrived?: (at: number) => void };

interface Setting {
  endpoints: number;
  rate: number;
  cache: number;
  isolates: number;
}

/** The conversation, as the gateway's key has it: all requests of this trace share their first 512 tokens, and conversations part after them. */
const conversationKey = ({ hash_ids }: TraceRequest) => hash_ids.slice(0, 2).join();

function policies({ endpoints, isolates }: Setting): Record<string, () => Policy> {
  return {
    random: () => {
      const random = generator(1);
      return () => ({ endpoint: Math.floor(random() * endpoints) });
    },
    'round robin': () => {
      let next = 0;
      return () => ({ endpoint: next++ % endpoints });
    },
    'least loaded, all-knowing': () => (_request, _now, pool) => {
      const depths = pool.depths();
      return { endpoint: depths.indexOf(Math.min(...depths)) };
    },
    'pure affinity': () => (request) => ({ endpoint: bestHash(conversationKey(request), endpoints) }),
    'Nearside, first 256 tokens only': () => nearside(endpoints, isolates, () => 'the same system prompt'),
    Nearside: () => nearside(endpoints, isolates, conversationKey),
  };
}

function bestHash(key: string, endpoints: number): number {
  const scores = Array.from({ length: endpoints }, (_, i) => hash(`gpu-${i}\n${key}`));
  return scores.indexOf(Math.max(...scores));
}

/** The gateway's own code: a `Pool` per isolate, with the monitor's figures every 1.5 s. */
function nearside(endpoints: number, isolates: number, key: (request: TraceRequest) => string): Policy {
  const configs = Array.from({ length: endpoints }, (_, i) => endpointConfig(`gpu-${i}`));
  const timeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
  const pools = Array.from(
    { length: isolates },
    () => new Pool({ model: 'm', endpoints: configs, fallback: [], timeouts, retries: 2, hedging: false }, null),
  );
  const random = generator(2);
  let polledAt = Number.NEGATIVE_INFINITY;
  return (request, now, simulated) => {
    if (now - polledAt >= POLL_MS) {
      polledAt = now;
      const depths = simulated.depths();
      for (const pool of pools) {
        pool.endpoints.forEach((endpoint, i) => {
          endpoint.observe({ at: now, alive: true, waiting: depths[i]!, running: null, kvUse: null, ttftMs: null });
        });
      }
    }
    const pool = pools[Math.floor(random() * isolates)]!;
    const demand = { key: key(request), promptTokens: request.input_length, modalities: ['text'] };
    const endpoint: Endpoint = pool.choose(demand, now)!;
    const flight: Flight = endpoint.sent(request.input_length, now, true);
    const arrived = (at: number) => {
      pool.answered(endpoint, flight, at);
      endpoint.left(flight);
    };
    return { endpoint: pool.endpoints.indexOf(endpoint), arrived };
  };
}

function endpointConfig(name: string): EndpointConfig {
  const nothing = { region: null, price: null, context: null, modalities: null, key: null, binding: null };
  return { name, url: `http://${name}/v1`, kind: 'vllm', model: 'm', weight: 1, priority: 0, ...nothing };
}

interface Row {
  policy: string;
  speed: number;
  hitRate: number;
  ttftMs: { p50: number; p95: number; p99: number };
  /** Work of the busiest endpoint over the mean. */
  imbalance: number;
  utilization: number;
}

function simulate(trace: TraceRequest[], policy: Policy, speed: number, setting: Setting): Omit<Row, 'policy'> {
  const pool = new SimulatedPool(setting.endpoints, setting.rate, setting.cache);
  for (const request of trace) {
    const now = request.timestamp / speed;
    pool.advance(now);
    const { endpoint, arrived } = policy(request, now, pool);
    pool.send(request, endpoint, now, arrived ?? (() => {}));
  }
  const mean = pool.busyMs.reduce((sum, ms) => sum + ms, 0) / setting.endpoints;
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => quantile(pool.ttfts, q)) as [number, number, number];
  return {
    speed,
    hitRate: pool.hitTokens / pool.tokens,
    ttftMs: { p50, p95, p99 },
    imbalance: Math.max(...pool.busyMs) / mean,
    utilization: mean / (trace.at(-1)!.timestamp / speed),
  };
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      trace: { type: 'string' },
      endpoints: { type: 'string', default: '8' },
      rate: { type: 'string', default: '8000' },
      cache: { type: 'string', default: '2000' },
      isolates: { type: 'string', default: '16' },
      speed: { type: 'string', default: '1,1.5,2' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || !values.trace) return void process.stdout.write(HELP);
  const setting = {
    endpoints: numberOption('endpoints', values.endpoints, { min: 1, whole: true }),
    rate: numberOption('rate', values.rate, { over: 0 }),
    cache: numberOption('cache', values.cache, { whole: true }),
    isolates: numberOption('isolates', values.isolates, { min: 1, whole: true }),
  };
  const lines = readFileSync(fileOption('trace', values.trace), 'utf8').split('\n');
  const trace = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as TraceRequest);
  const ideal = simulate(trace, () => ({ endpoint: 0 }), 1, { ...setting, endpoints: 1, cache: Number.POSITIVE_INFINITY }).hitRate;
  console.log(
    `${trace.length} requests; ${setting.endpoints} endpoints of ${setting.rate} tokens/s, ${setting.cache} cached blocks each; ${setting.isolates} gateways`,
  );
  console.log(`One endless cache would hold ${(100 * ideal).toFixed(1)} % of the prompt tokens.\n`);
  const rows: Row[] = [];
  for (const speed of values.speed.split(',').map(Number)) {
    for (const [policy, create] of Object.entries(policies(setting))) rows.push({ policy, ...simulate(trace, create(), speed, setting) });
  }
  print(rows);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ trace: trace.length, ideal, ...setting, rows }, null, 2)}\n`);
}

function print(rows: Row[]): void {
  console.log('speed  policy                            prefix hits   TTFT p50      p95      p99   busiest/mean   busy');
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`.padStart(9);
  for (const { policy, speed, hitRate, ttftMs, imbalance, utilization } of rows) {
    const hits = `${(100 * hitRate).toFixed(1)} %`.padStart(11);
    const busy = `${(100 * utilization).toFixed(0)} %`.padStart(7);
    console.log(
      `${String(speed).padEnd(5)}  ${policy.padEnd(32)}  ${hits}  ${seconds(ttftMs.p50)}${seconds(ttftMs.p95)}${seconds(ttftMs.p99)}${imbalance.toFixed(2).padStart(15)}${busy}`,
    );
  }
}
