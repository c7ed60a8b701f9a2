import type { Observation } from './endpoint.ts';
import type { EndpointKind } from './pool-config.ts';

/** An endpoint to look at. */
export interface Target {
  /** Base URL, ends in /v1. Identifies the target. */
  url: string;
  kind: EndpointKind;
  key: string | null;
  binding: string | null;
}

/** What one look has found: an observation, and the counters that the next look is compared with. */
export interface Look {
  seen: Observation;
  /** Looks in a row that found nobody well. */
  misses: number;
  ttft: { sum: number; count: number } | null;
  /** When there were first tokens last, milliseconds since the epoch. */
  ttftAt: number;
}

/** Names in Prometheus' text format; kvUse is a share, ttft a histogram in seconds. */
interface LoadMetrics {
  waiting: string;
  running: string;
  kvUse: string[];
  ttft: string | null;
}

const loadMetrics: Record<EndpointKind, LoadMetrics | null> = {
  vllm: {
    waiting: 'vllm:num_requests_waiting',
    running: 'vllm:num_requests_running',
    // The second is its name in older versions.
    kvUse: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
    ttft: 'vllm:time_to_first_token_seconds',
  },
  sglang: {
    waiting: 'sglang:num_queue_reqs',
    running: 'sglang:num_running_reqs',
    kvUse: ['sglang:token_usage'],
    ttft: 'sglang:time_to_first_token_seconds',
  },
  'llama-server': { waiting: 'llamacpp:requests_deferred', running: 'llamacpp:requests_processing', kvUse: [], ttft: null },
  openai: null,
};

/** A look must not outlast the pause between two of them by much, milliseconds. */
const timeoutMs = 2_000;
/** What first tokens took is told for so long after the last one: an endpoint that was slow for a moment and gets no requests since is not slow for ever. */
const ttftLifetimeMs = 10_000;
/** So many looks in a row that find nobody mean that nobody is there; a single one means nothing. */
const missesToMourn = 3;

/**
 * Looks at an endpoint: its health, and its load where its kind tells it. Never throws: what cannot be read is null.
 * @param before the look before this one
 */
export async function look(target: Target, before: Look | null, fetch: typeof globalThis.fetch, now: () => number): Promise<Look> {
  const root = target.url.replace(/\/v1$/, '');
  const metrics = loadMetrics[target.kind];
  const [health, text] = await Promise.all([
    get(metrics ? `${root}/health` : `${target.url}/models`, target.key, fetch),
    metrics ? get(`${root}/metrics`, target.key, fetch) : null,
  ]);
  // Any answer but a server's own failure is a sign of life: /health may be somebody else's to read, or not there.
  const well = health !== null && health.status < 500;
  const misses = well ? 0 : (before?.misses ?? 0) + 1;
  const samples = text?.status === 200 ? parseMetrics(text.body) : null;
  const ttft =
    metrics?.ttft && samples
      ? { sum: total(samples, `${metrics.ttft}_sum`) ?? 0, count: total(samples, `${metrics.ttft}_count`) ?? 0 }
      : null;
  const at = now();
  const freshTtft = meanSince(before?.ttft ?? null, ttft);
  const ttftAt = freshTtft === null ? (before?.ttftAt ?? 0) : at;
  const seen: Observation = {
    at,
    alive: well ? true : misses >= missesToMourn ? false : (before?.seen.alive ?? null),
    waiting: metrics && samples ? total(samples, metrics.waiting) : null,
    running: metrics && samples ? total(samples, metrics.running) : null,
    kvUse: metrics && samples ? largest(samples, metrics.kvUse) : null,
    ttftMs: freshTtft ?? (at - ttftAt < ttftLifetimeMs ? (before?.seen.ttftMs ?? null) : null),
  };
  // After one look that failed, the figures of the one before count on, as old as they are.
  if (before && seen.waiting === null && misses > 0 && misses < missesToMourn) return { ...before, misses };
  return { seen, misses, ttft: ttft ?? before?.ttft ?? null, ttftAt };
}

async function get(url: string, key: string | null, fetch: typeof globalThis.fetch): Promise<{ status: number; body: string } | null> {
  try {
    const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
    const response = await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
    return { status: response.status, body: await response.text() };
  } catch {
    return null;
  }
}

/** Mean time to first token since the last look, milliseconds; null when there was none. Counters start anew with a server. */
function meanSince(before: Look['ttft'], now: Look['ttft']): number | null {
  if (!before || !now || now.count <= before.count) return null;
  return (1000 * (now.sum - before.sum)) / (now.count - before.count);
}

type Samples = Map<string, number[]>;

/** Reads Prometheus' text format: the values of each name, whatever the labels. */
export function parseMetrics(text: string): Samples {
  const samples: Samples = new Map();
  for (const [, name, value] of text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{[^\n]*\})?[ \t]+(\S+)/gm)) {
    const number = Number(value);
    if (Number.isNaN(number)) continue;
    const values = samples.get(name!);
    if (values) values.push(number);
    else samples.set(name!, [number]);
  }
  return samples;
}

function total(samples: Samples, name: string): number | null {
  return samples.get(name)?.reduce((sum, value) => sum + value, 0) ?? null;
}

function largest(samples: Samples, names: string[]): number | null {
  const values = names.flatMap((name) => samples.get(name) ?? []);
  return values.length > 0 ? Math.max(...values) : null;
}
