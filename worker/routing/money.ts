import type { EdgeEstimate, OriginEstimate } from './estimates.ts';
import type { EdgePrice, GpuPrice } from './figures.ts';

/** What a request is expected to cost at a route, US dollars, and how much of that is for starting or keeping a GPU. */
export interface Cost {
  usd: number;
  startUsd: number;
}

/**
 * The edge: the time that the request takes for itself, and its part of a load that may be needed, by what the place bills.
 * @param busyMs of the engine, its share of shared turns
 */
export function edgeUsd(edge: EdgeEstimate, busyMs: number): Cost {
  const perMs = usdPerBusyMs(edge.price);
  const startUsd = (1 - edge.warmth) * edge.loadMs * perMs;
  const perRequest = edge.price.by === 'hour' ? 0 : edge.price.usdPerRequest;
  return { usd: busyMs * perMs + perRequest + startUsd, startUsd };
}

/** US dollars for a millisecond of work. Requests that share turns share what memory costs meanwhile; idle time is nobody's. */
function usdPerBusyMs(price: EdgePrice): number {
  if (price.by === 'cpu') return price.usdPerCpuMs;
  if (price.by === 'duration') return (price.usdPerGbSecond * price.gb * price.objects) / 1000;
  if (price.by === 'vcpu') return (price.usdPerVcpuSecond * price.vcpus + price.usdPerGibSecond * price.gib) / 1000;
  return price.usdPerHour / 3_600_000;
}

/** An origin, by its tokens or by its GPUs' hours. */
export function originUsd(origin: OriginEstimate, promptTokens: number, outputTokens: number, busyMs: number): Cost {
  const { price } = origin;
  if (price.by === 'gpu-hour') return gpuUsd(origin, price, busyMs);
  return { usd: (promptTokens * price.input + outputTokens * price.output) / 1e6, startUsd: 0 };
}

/**
 * What one request more costs on GPUs that are paid by the hour. With c the dollars of a node's second, λc and λf the rates of requests that only an origin may
 * answer and of those that the edge may answer as well (whoever does), T the seconds that an idle node is kept, w the probability that one is up, and u the part
 * of the capacity in use:
 *
 *     usd = u · c · busy ÷ slots                      the place it takes from others: nothing on an idle node, its full share on a full one
 *         + grow(u) · c · L ÷ (slots + (λc + λf)·L)   the node that has to be added when those there are full, for L = start + T
 *         + w · c · K                                 the time that a node is kept longer for it
 *         + (1-w) · c · (start + T) · e^(-λc·T) ÷ (1 + λf·T)    the node that has to be started for them
 *
 * K, where it is known for how long a node has been idle, t with what the request itself takes: the node is let go so much later, unless one that only an origin may answer
 * comes before. That such a one may find it still up, and saves a start, is not counted: in simulation, by rates that a gateway learns from a few requests, it was overrated.
 *
 *     K = (e^(-λc·(T - t)) - e^(-λc·T)) ÷ λc
 *
 * So what is paid is the time since somebody was there: little for whoever comes right behind another, and all together all of it. Where that is not known, the mean over
 * such requests, all decided alike: (up(λc + λf) - up(λc)) ÷ λf, where up(λ) = 1 - e^(-λT) is the part of the time that a node with Poisson arrivals is up. It is T·e^(-λc·T)
 * when they are rare, and 1 ÷ λf where they are many and alone. Either way nearly nothing where others keep the node up. The second and the fourth part are shared by those that are expected before the node is let go: of a burst by as many as fill it, of steady traffic by all that come meanwhile. A pool that is always on costs the first two. Every part is continuous in every figure.
 */
function gpuUsd(origin: OriginEstimate, price: GpuPrice, busyMs: number): Cost {
  const { use, warmth, committedPerSecond, freePerSecond } = origin;
  const perSecond = price.usdPerHour / 3600;
  const kept = price.keepSeconds ?? leastLeaseSeconds;
  const place = (use * perSecond * busyMs) / 1000 / price.slots;
  const lease = price.startSeconds + kept;
  const sharing = price.slots + (committedPerSecond + freePerSecond) * lease;
  const grown = price.scalesOut ? (growth(use) * perSecond * lease) / sharing : 0;
  if (price.keepSeconds === null) return { usd: place + grown, startUsd: grown };
  const othersKeepIt = Math.exp(-committedPerSecond * kept);
  const keep = perSecond * keptSeconds(origin, kept, busyMs);
  const start = (perSecond * (price.startSeconds + kept) * othersKeepIt) / (1 + freePerSecond * kept);
  const startUsd = grown + warmth * keep + (1 - warmth) * start;
  return { usd: place + startUsd, startUsd };
}

/** For how much longer a node is kept for one request more, seconds: K above. */
function keptSeconds(origin: OriginEstimate, kept: number, busyMs: number): number {
  const { committedPerSecond, freePerSecond, idleMs, use, slots } = origin;
  if (idleMs === null) return Math.exp(-committedPerSecond * kept) * partUp(freePerSecond, kept);
  const later = Math.min(kept, (idleMs + busyMs / (1 + use * slots)) / 1000);
  return Math.exp(-committedPerSecond * (kept - later)) * partUp(committedPerSecond, later);
}

/** For how long a node that was added is paid at least, seconds, where nothing is scaled to zero. */
const leastLeaseSeconds = 600;

/** (1 - e^(-λT)) ÷ λ, whose limit is T; up(a + b) - up(a) = e^(-aT) · up(b). */
function partUp(perSecond: number, seconds: number): number {
  return perSecond * seconds < 1e-9 ? seconds : -Math.expm1(-perSecond * seconds) / perSecond;
}

/** Probability that a request makes an autoscaler add its share of a node: none below 80 % in use, rising to 1 when all is in use. */
function growth(use: number): number {
  return Math.max(0, (use - 0.8) / 0.2) ** 2;
}
