import { originPriors } from '../routing/estimate.ts';
import type { OriginFigures, OriginPrice, Snapshot } from '../routing/figures.ts';
import { originPriceOf } from '../routing/prices.ts';
import type { Endpoint } from './endpoint.ts';
import { isSaturated, type Pool } from './pool.ts';

/**
 * What is seen of a pool, for the router: what its monitor saw of the endpoints, and what this isolate has in flight there. What was learnt from outcomes comes
 * after these (`learnedOrigin`).
 * @param now milliseconds since the epoch
 * @param regions where the request's data may go, null for all: other endpoints cannot answer it
 */
export function poolFigures(pool: Pool, now: number, regions: string[] | null = null): Snapshot<OriginFigures>[] {
  const endpoints = pool.within(regions);
  const own = ownFigures(endpoints, now);
  const monitored = monitorFigures(endpoints, now);
  return monitored ? [monitored, own] : [own];
}

/** The sums of the last looks, as old as the oldest of them. Null where nobody has looked, or no server tells its load. */
function monitorFigures(endpoints: Endpoint[], now: number): Snapshot<OriginFigures> | null {
  const there = endpoints.filter((endpoint) => endpoint.isAvailable(now));
  const looks = there.flatMap(({ seen }) => (seen ? [seen] : []));
  if (looks.length === 0) return null;
  const told = (values: (number | null)[]) => values.filter((value) => value !== null);
  const [waiting, running] = [told(looks.map((look) => look.waiting)), told(looks.map((look) => look.running))];
  const use = told(looks.map((look) => look.kvUse));
  const sum = (values: number[]) => (values.length > 0 ? values.reduce((a, b) => a + b, 0) : null);
  const isAlive = looks.some((look) => look.alive === true);
  const values = {
    waiting: sum(waiting),
    running: sum(running),
    use: use.length > 0 ? sum(use)! / use.length : null,
    cold: isAlive ? false : null,
    busy: (sum(running) ?? 0) > 0,
  };
  return { asOf: Math.min(...looks.map((look) => look.at)), values };
}

function ownFigures(endpoints: Endpoint[], now: number): Snapshot<OriginFigures> {
  const there = endpoints.filter((endpoint) => endpoint.isAvailable(now));
  const price = originPriceOf(endpoints[0]?.config.price ?? null);
  const slots = price.by === 'gpu-hour' ? price.slots * Math.max(1, there.length) : null;
  const running = endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0);
  return {
    asOf: now,
    values: {
      // Other gateways have theirs there, too: ours alone tell something only where they are more than what is assumed of all.
      running: running > originPriors.use * (slots ?? originPriors.slots) ? running : null,
      slots,
      saturated: isSaturated(endpoints, now),
      out: there.length === 0,
      // Who waits for a first token may wait for a start.
      busy: there.some((endpoint) => endpoint.isAnswering),
      // One that refuses says so at once: to ask it costs nearly nothing, and tells when it is back.
      hanging: there.length === 0 && endpoints.some((endpoint) => endpoint.hangs),
      // Whoever answers nothing but 503 is being started, and so is one that holds a request as long. That one is not, says nothing of whether it is there.
      cold: endpoints.every((endpoint) => endpoint.isCold(now)) || isHeld(endpoints, price, now) ? true : null,
    },
  };
}

/** Some platforms hold a request while a node is started: a stream has waited for half of a start or longer, and nobody has been answered since it was sent. */
function isHeld(endpoints: Endpoint[], price: OriginPrice, now: number): boolean {
  if (price.by !== 'gpu-hour' || price.keepSeconds === null || price.startSeconds === 0) return false;
  const longest = Math.max(...endpoints.map((endpoint) => endpoint.longestWait(now)));
  const answeredAt = Math.max(...endpoints.map((endpoint) => endpoint.answeredAt));
  return longest > 500 * price.startSeconds && now - longest >= answeredAt && !endpoints.some((endpoint) => endpoint.isAnswering);
}
