/**
 * When an endpoint is left out: a state machine without a clock of its own. Times are milliseconds of any clock.
 *
 *   in --- 3 failures in a row, or a slow outlier ---> out until T --- T passes, or it is seen to be back: one request tries ---> in, or out for twice as long
 */
export interface Health {
  /** Failures since the last success. */
  failures: number;
  /** Times it was put out since it was last well for a while; doubles the next time out. */
  ejections: number;
  /** Out until then; 0 when it is in. */
  outUntil: number;
  /** A request is finding out whether it is back. */
  probing: boolean;
  /** Start of the current run of successes; 0 during failures. */
  wellSince: number;
  /** Start of a run of answers 503 and nothing else; 0 outside one. */
  unavailableSince: number;
}

export const healthy: Readonly<Health> = { failures: 0, ejections: 0, outUntil: 0, probing: false, wellSince: 0, unavailableSince: 0 };

const failuresToEject = 3;
const firstOutMs = 5_000;
const longestOutMs = 300_000;
/** After so long without a failure, earlier ejections are forgotten. */
const forgiveAfterMs = 60_000;
/** A probe that nobody reports back on is given up after so long. */
const probeTimeoutMs = 60_000;

export function succeeded(health: Health, now: number): Health {
  const wellSince = health.wellSince || now;
  const ejections = now - wellSince >= forgiveAfterMs ? 0 : health.ejections;
  return { failures: 0, ejections, outUntil: 0, probing: false, wellSince, unavailableSince: 0 };
}

/** @param unavailable it answered 503: that may be a server that is starting, which is told apart by `isCold` */
export function failed(health: Health, now: number, unavailable: boolean): Health {
  const next: Health = {
    ...health,
    failures: health.failures + 1,
    wellSince: 0,
    unavailableSince: unavailable ? health.unavailableSince || now : 0,
  };
  // A failure while it is out or being tried says that it is not back; failures of requests that were sent before it went out say nothing new.
  if (health.probing) return eject(next, now);
  return health.outUntil === 0 && next.failures >= failuresToEject ? eject(next, now) : next;
}

/** Puts it out for 5 s, twice as long as the last time, at most 5 min. */
export function eject(health: Health, now: number): Health {
  const outMs = Math.min(longestOutMs, firstOutMs * 2 ** health.ejections);
  return { ...health, ejections: health.ejections + 1, outUntil: now + outMs, probing: false, wellSince: 0 };
}

/** The monitor, which had found nobody there, has found somebody: the next request tries, however long it was to stay out. */
export function seenBack(health: Health, now: number): Health {
  return health.probing ? health : { ...health, outUntil: Math.min(health.outUntil, now) };
}

/** Whether a request may go there: it is in, or its time is up and nobody is trying it yet. */
export function isAvailable(health: Health, now: number): boolean {
  if (health.outUntil === 0) return true;
  return now >= health.outUntil && !(health.probing && now < health.outUntil + probeTimeoutMs);
}

/** A request is about to go there: the first one after its time out is the one that tries. */
export function sent(health: Health, now: number): Health {
  return health.outUntil !== 0 && now >= health.outUntil ? { ...health, probing: true, outUntil: now } : health;
}

/** The request that tried it was called off: the next one may try. */
export function released(health: Health): Health {
  return health.probing ? { ...health, probing: false } : health;
}

/** Nothing but 503 for so long, milliseconds, and in as many answers, is a server that is being started, not one that is busy. */
const coldAfterMs = 3_000;
const coldAfterFailures = 3;

/** Whether it looks like scaled to zero: it answers, with 503 each time, and has been doing so for a while. */
export function isCold(health: Health, now: number): boolean {
  return health.unavailableSince !== 0 && health.failures >= coldAfterFailures && now - health.unavailableSince >= coldAfterMs;
}

/** Among at least three, one that takes this many times as long as the median is broken in a way that no status tells. */
const slowFactor = 4;

/** Index of the endpoint that is much slower than its peers, or null. `slowness` in any unit, NaN where too little is known. */
export function slowOutlier(slowness: number[]): number | null {
  const known = slowness.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  if (known.length < 3) return null;
  const median = known[Math.floor((known.length - 1) / 2)]!;
  const worst = known.at(-1)!;
  return worst > slowFactor * median ? slowness.indexOf(worst) : null;
}
