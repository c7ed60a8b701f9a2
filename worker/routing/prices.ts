import type { EdgePrice, GpuPrice, OriginPrice } from './figures.ts';

/**
 * Prices where nothing else is configured, beyond what plans include. Of Cloudflare: its public price lists (developers.cloudflare.com: workers/platform/pricing,
 * durable-objects/platform/pricing, containers/pricing), read on the date below. The rest are round figures to be replaced by one's own: see each.
 */
export const pricesAsOf = '2026-11-02';

/** Where the edge model runs. */
export type Place = 'worker' | 'durable-object' | 'container' | 'own';

export const edgePrices = {
  /** $0.02 per million CPU-milliseconds, $0.30 per million requests. */
  worker: { by: 'cpu', usdPerCpuMs: 0.02e-6, usdPerRequest: 0.3e-6 },
  /** $12.50 per million GB-seconds at 128 MB, $0.15 per million requests; a pipeline is several objects. CPU time is not billed there. */
  'durable-object': { by: 'duration', usdPerGbSecond: 12.5e-6, gb: 0.128, objects: 1, usdPerRequest: 0.15e-6 },
  /** $20 per million vCPU-seconds in use, $2.50 per million GiB-seconds; a `standard-1` has half a vCPU and 4 GiB. The Worker in front counts its request. */
  container: { by: 'vcpu', usdPerVcpuSecond: 20e-6, vcpus: 0.5, usdPerGibSecond: 2.5e-6, gib: 4, usdPerRequest: 0.3e-6 },
  /** A small rented server of two cores, $36 a month. An assumption. */
  own: { by: 'hour', usdPerHour: 0.05 },
} as const satisfies Record<Place, EdgePrice>;

/**
 * An origin of which no price is known is taken to be a GPU at $1 an hour that is scaled to zero after five idle minutes: what a 24 GB card for a 9B model
 * about costs at rental services. An assumption, and the one most worth replacing.
 */
export const unknownOriginPrice: GpuPrice = {
  by: 'gpu-hour',
  usdPerHour: 1,
  slots: 32,
  startSeconds: 120,
  keepSeconds: 300,
  scalesOut: true,
  assumed: true,
};

/** A price as in the list of origins, per million tokens or by the GPU's hour; without one, `unknownOriginPrice`. */
export function originPriceOf(price: { input: number; output: number } | GpuPrice | null): OriginPrice {
  if (!price) return unknownOriginPrice;
  return 'by' in price ? price : { by: 'tokens', ...price };
}
