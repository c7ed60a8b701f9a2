import { version } from '../package.json';
import type { Health, Readiness } from '../routes/gateway.ts';
import type { Config, OriginConfig } from './config.ts';
import type { EdgeDirectory } from './edge/directory.ts';
import type { EdgeStatus } from './edge/protocol.ts';

/** Longest wait for the origin's sign of life, milliseconds. */
const probeTimeoutMs = 2_000;

const fixtureNote =
  'The edge model is a random-weight fixture: its answers are noise. For a real model, pack one (npm run -s models -- pack SOURCE OUT) and start with npm run dev -- --model OUT.';

/** What `/healthz` tells: the gateway, its edge model and its origin. */
export async function health(config: Config, edge: EdgeDirectory | null): Promise<Health> {
  const status = await edgeStatus(edge);
  return {
    status: 'ok',
    version,
    access: config.access.keyDigests.length > 0 ? 'keys' : config.access.open ? 'open (NEARSIDE_DEV=1)' : 'not configured',
    edge: edge ? edgeReport(status, config.edge.model) : { configured: false },
    origin: config.origin ? { configured: true, model: config.origin.model } : { configured: false },
    ...(status?.fixture ? { note: fixtureNote } : {}),
  };
}

/** What `/readyz` tells. The origin is only asked when the edge cannot answer. */
export async function readiness(config: Config, edge: EdgeDirectory | null): Promise<Readiness> {
  const status = await edgeStatus(edge);
  const edgeReady = status !== null && status.state !== 'failed' && status.model !== '';
  const edgeState = !edge ? 'not configured' : (status?.state ?? 'unreachable');
  if (config.access.keyDigests.length === 0 && !config.access.open) {
    return { ready: false, edge: edgeState, origin: config.origin ? 'configured' : 'not configured', reason: 'auth_not_configured' };
  }
  if (edgeReady) return { ready: true, edge: edgeState, origin: config.origin ? 'configured' : 'not configured' };
  const origin = config.origin ? await probeOrigin(config.origin) : 'not configured';
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

/** Any inference server answers GET /models; 404 or 405 comes from one that merely lacks it. */
async function probeOrigin(origin: OriginConfig): Promise<string> {
  try {
    const headers: Record<string, string> = origin.key ? { authorization: `Bearer ${origin.key}` } : {};
    const response = await fetch(`${origin.url}/models`, { headers, redirect: 'manual', signal: AbortSignal.timeout(probeTimeoutMs) });
    await response.body?.cancel();
    return response.ok || response.status === 404 || response.status === 405 ? 'ready' : `answers ${response.status}`;
  } catch {
    return 'unreachable';
  }
}
