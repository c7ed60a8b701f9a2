import { edgePrices } from '../../worker/routing/prices.ts';

/** What is sent to a deployment. */
export interface Load {
  requestsPerMonth: number;
  /** Tokens of a request, and of its answer. */
  promptTokens: number;
  answerTokens: number;
}

/** What answers it. */
export interface Workload {
  placement: 'isolate' | 'pipeline' | 'container';
  /** Durable Objects that a replica keeps in memory: the engine, and its stages. */
  objects: number;
  replicas: number;
  /** Requests that a replica runs at once. */
  sessions: number;
  /** Tokens per second of one session. Measured by `npm run bench -- edge`, or `ratesOf`. */
  prefill: number;
  decode: number;
  packBytes: number;
  /** Files that a cold start reads, in all stages together. */
  reads: number;
}

export interface Cost {
  lines: { what: string; usd: number; how: string }[];
  totalUsd: number;
  /** Of one request alone, seconds. */
  requestSeconds: number;
  /** Part of the month for which a replica is in memory, 0..1. */
  activeShare: number;
  /** Replicas that the load needs on average; more than there are means queues. */
  neededReplicas: number;
}

const MONTH_SECONDS = 30 * 86_400;
/** The plan that Durable Objects and CPU limits beyond the free ones need. Read with the other prices (prices.ts: pricesAsOf). */
const PLAN_USD = 5;
/** R2: developers.cloudflare.com/r2/pricing. */
const R2_USD_PER_GB_MONTH = 0.015;
export const R2_USD_PER_READ = 0.36e-6;
/**
 * A connection to the stages, and with it their memory, is kept for so long after an answer (RemotePeer's idleMs), and a container (NEARSIDE_EDGE_SLEEP_AFTER); an object alone is
 * billed no longer than it works.
 */
export const LINGER_SECONDS = { isolate: 0, pipeline: 10, container: 60 } as const;
/** A Durable Object without requests leaves the memory after one to two minutes. */
const EVICTED_AFTER_SECONDS = 90;
/** Of the gateway, for a request whose answer it passes on, milliseconds. An assumption. */
const GATEWAY_CPU_MS = 5;

/**
 * Expected bill of a month, beyond nothing: what the plan includes is not subtracted, as other Workers of the account may use it. Requests come at random (a
 * Poisson stream): a replica with the rate λ is in memory for the share 1 - exp(-λ (t + linger)) of the time, each request of t seconds keeping it so (the busy time
 * of M/G/∞, e.g. Kleinrock, Queueing Systems I, 1975), and is loaded again after each gap that is longer than an eviction takes: λ exp(-λ (t + eviction)) times a second.
 */
export function estimateCost(load: Load, work: Workload): Cost {
  const { requestsPerMonth } = load;
  const requestSeconds = load.promptTokens / work.prefill + load.answerTokens / work.decode;
  const perReplica = requestsPerMonth / MONTH_SECONDS / work.replicas;
  const activeShare = 1 - Math.exp(-perReplica * (requestSeconds + LINGER_SECONDS[work.placement]));
  const activeSeconds = activeShare * MONTH_SECONDS * work.replicas;
  const coldStarts = requestsPerMonth * Math.exp(-perReplica * (requestSeconds + EVICTED_AFTER_SECONDS));
  const { worker } = edgePrices;
  const lines = [
    { what: 'Workers plan', usd: PLAN_USD, how: 'paid plan, a month' },
    {
      what: 'gateway',
      usd: requestsPerMonth * (worker.usdPerRequest + GATEWAY_CPU_MS * worker.usdPerCpuMs),
      how: `${count(requestsPerMonth)} requests, ${GATEWAY_CPU_MS} ms CPU each`,
    },
    ...engineLines(requestsPerMonth, requestSeconds, activeSeconds, work),
    {
      what: 'R2',
      usd: (work.packBytes / 1e9) * R2_USD_PER_GB_MONTH + coldStarts * work.reads * R2_USD_PER_READ,
      how: `${(work.packBytes / 1e6).toFixed(0)} MB, ${count(coldStarts)} cold starts of ${work.reads} reads`,
    },
  ];
  const totalUsd = lines.reduce((sum, { usd }) => sum + usd, 0);
  const neededReplicas = (requestsPerMonth / MONTH_SECONDS) * (requestSeconds / work.sessions);
  return { lines, totalUsd, requestSeconds, activeShare, neededReplicas };
}

function engineLines(requests: number, requestSeconds: number, activeSeconds: number, work: Workload): Cost['lines'] {
  const { container } = edgePrices;
  const object = edgePrices['durable-object'];
  const objectSeconds = activeSeconds * work.objects;
  const lines = [
    {
      what: work.objects > 1 ? 'engine and stages' : 'engine',
      usd: objectSeconds * object.gb * object.usdPerGbSecond + requests * work.objects * object.usdPerRequest,
      how: `${count(objectSeconds * object.gb)} GB-s of ${work.objects} object${work.objects > 1 ? 's' : ''} a replica, ${count(requests * work.objects)} requests`,
    },
  ];
  if (work.placement !== 'container') return lines;
  const vcpuSeconds = requests * requestSeconds * container.vcpus;
  const usd = vcpuSeconds * container.usdPerVcpuSecond + activeSeconds * container.gib * container.usdPerGibSecond;
  return [...lines, { what: 'container', usd, how: `${count(vcpuSeconds)} vCPU-s, ${count(activeSeconds * container.gib)} GiB-s` }];
}

/**
 * Tokens per second to reckon with where nobody has measured. One thread of the kernels does about 8e9 multiplications a second one token at a time, and 20e9 in
 * prefill, which needs no head (measured on this project's machine; DESIGN: 32 + 16 tokens of the 0.8B take 2.4 s).
 * @param layers multiplications of all layers for one token. @param head those of the head
 */
export function ratesOf({ layers, head }: { layers: number; head: number }): { prefill: number; decode: number } {
  return { prefill: 20e9 / layers, decode: 8e9 / (layers + head) };
}

export const count = (n: number): string =>
  n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(0)} k` : n.toFixed(0);
