import { errorFields, log } from '../observe/log.ts';
import type { Snapshot, SnapshotRequest } from './monitor.ts';
import type { Pool } from './pool.ts';

/** Where a Durable Object of a continent is put. */
const locationHints: Record<string, DurableObjectLocationHint> = {
  af: 'afr',
  as: 'apac',
  eu: 'weur',
  na: 'enam',
  oc: 'oc',
  sa: 'sam',
};

/**
 * Brings the monitor's snapshot into the endpoints: at most once in `everyMs` per isolate, beside the request that happens to come then, which does not wait.
 * @param background lets the work go on after the response
 */
export function watchPools(
  namespace: DurableObjectNamespace,
  region: string | null,
  everyMs: number,
  background: (work: Promise<unknown>) => void,
): (pools: Pool[]) => void {
  let askedAt = 0;
  const ask = async (pools: Pool[]) => {
    try {
      const id = namespace.idFromName(`origins:${region ?? 'any'}`);
      const monitor = namespace.get(id, { locationHint: locationHints[region ?? ''] });
      const body = JSON.stringify({ targets: targetsOf(pools), everyMs } satisfies SnapshotRequest);
      const response = await monitor.fetch('https://monitor.invalid/', { method: 'POST', body });
      const snapshot = (await response.json()) as Snapshot;
      for (const endpoint of pools.flatMap((pool) => pool.endpoints)) {
        const seen = snapshot[endpoint.config.url];
        if (seen) endpoint.observe(seen);
      }
    } catch (error) {
      log('origin_snapshot_failed', errorFields(error));
    }
  };
  return (pools) => {
    if (pools.length === 0 || Date.now() - askedAt < everyMs) return;
    askedAt = Date.now();
    background(ask(pools));
  };
}

/** Two pools may share a server: it is looked at once. */
function targetsOf(pools: Pool[]) {
  const configs = pools.flatMap((pool) => pool.endpoints.map((endpoint) => endpoint.config));
  const targets = new Map(configs.map(({ url, kind, key, binding }) => [url, { url, kind, key, binding }]));
  return [...targets.values()];
}
