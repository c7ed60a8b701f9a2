import { version } from '../package.json';
import type { Health, Readiness } from '../routes/gateway.ts';
import type { Config } from './config.ts';
import type { EdgeDirectory } from './edge/directory.ts';
import type { EdgeStatus } from './edge/protocol.ts';
import type { OriginDirectory } from './origin/directory.ts';
import type { Pool } from './origin/pool.ts';
import type { EndpointConfig } from './origin/pool-config.ts';

/** Longest wait for an endpoint's sign of life, milliseconds. */
const probeTimeoutMs = 2_000;
/** Endpoints asked at once; a Worker may have six connections open before it has to wait. */
const mostProbes = 6;

const fixtureNote =
  'The edge model is a random-weight fixture: its answers are noise. For a real model, pack one (npm run -s models -- pack SOURCE OUT) and start with npm run dev -- --model OUT.';

/** What `/healthz` tells: the gateway, its edge model and its origin. */
export async function health(config: Config, edge: EdgeDirectory | null, origins: OriginDirectory): Promise<Health> {
  const status = await edgeStatus(edge);
  return {
    status: 'ok',
    version,
    access: config.access.keyDigests.length > 0 ? 'keys' : config.access.open ? 'open (NEARSIDE_DEV=1)' : 'not configured',
    edge: edge ? edgeReport(status, config.edge.model) : { configured: false },
    origin: originReport(await origins.pools(), origins.problem),
    ...(status?.fixture ? { note: fixtureNote } : {}),
  };
}

/** What `/readyz` tells. The origin is only asked when the edge cannot answer. */
export async function readiness(config: Config, edge: EdgeDirectory | null, origins: OriginDirectory): Promise<Readiness> {
  const status = await edgeStatus(edge);
  const edgeReady = status !== null && status.state !== 'failed' && status.model !== '';
  const edgeState = !edge ? 'not configured' : (status?.state ?? 'unreachable');
  const pools = await origins.pools();
  const configured = pools.length > 0 ? 'configured' : 'not configured';
  if (config.access.keyDigests.length === 0 && !config.access.open) {
    return { ready: false, edge: edgeState, origin: configured, reason: 'auth_not_configured' };
  }
  if (edgeReady) return { ready: true, edge: edgeState, origin: configured };
  const origin = pools.length > 0 ? await probePools(pools, origins) : configured;
  return { ready: origin === 'ready', edge: edgeState, origin };
}

/** The health of a gateway whose settings are wrong. */
export function misconfigured(message: string): Health {
  return { status: 'misconfigured', version, error: message };
}

function edgeReport(status: EdgeStatus | null, offeredName: string | null) {
  if (!status) return { configured: true, state: 'unreachable' };
  const { state, fixture, quantization, error, running, queued, contextLength, loadMs, memory, rates } = status;
  return {
    configured: true,
    model: offeredName ?? status.model,
    state,
    fixture,
    quantization,
    error,
    running,
    queued,
    contextLength,
    loadMs,
    memory,
    rates,
  };
}

async function edgeStatus(edge: EdgeDirectory | null): Promise<EdgeStatus | null> {
  return (await edge?.status().catch(() => null)) ?? null;
}

/** Names and numbers only: addresses are nobody's business. */
function originReport(pools: Pool[], problem: string | null) {
  const now = Date.now();
  const report = pools.map(({ config, endpoints }) => ({
    model: config.model,
    endpoints: endpoints.length,
    available: endpoints.filter((endpoint) => endpoint.isAvailable(now) && !endpoint.isCold(now)).length,
    inFlight: endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0),
  }));
  return {
    configured: pools.length > 0,
    ...(pools[0] ? { model: pools[0].config.model, pools: report } : {}),
    ...(problem ? { problem } : {}),
  };
}

/** Ready as soon as one endpoint is; else what the first one says. */
async function probePools(pools: Pool[], origins: OriginDirectory): Promise<string> {
  const endpoints = pools.flatMap((pool) => pool.endpoints).slice(0, mostProbes);
  const probes = endpoints.map(({ config }) => probe(config, origins.fetchOf(config.binding)));
  const ready = probes.map(async (said) => {
    if ((await said) !== 'ready') throw new Error('not ready');
    return 'ready';
  });
  return Promise.any(ready).catch(() => probes[0]!);
}

/** Any inference server answers GET /models; 404 or 405 comes from one that merely lacks it. */
async function probe(endpoint: EndpointConfig, fetch: typeof globalThis.fetch): Promise<string> {
  try {
    const headers: Record<string, string> = endpoint.key ? { authorization: `Bearer ${endpoint.key}` } : {};
    const response = await fetch(`${endpoint.url}/models`, { headers, redirect: 'manual', signal: AbortSignal.timeout(probeTimeoutMs) });
    await response.body?.cancel();
    return response.ok || response.status === 404 || response.status === 405 ? 'ready' : `answers ${response.status}`;
  } catch {
    return 'unreachable';
  }
}
