import type { EdgeFigures, Snapshot } from '../routing/figures.ts';

/** Location hints of Durable Objects, with where about they are: latitude and longitude in degrees. */
const REGIONS = {
  wnam: [40, -120],
  enam: [40, -78],
  sam: [-23, -47],
  weur: [49, 4],
  eeur: [51, 20],
  apac: [20, 110],
  oc: [-34, 150],
  afr: [-28, 27],
  me: [25, 52],
} as const;

export type Region = keyof typeof REGIONS;
export const regions = Object.keys(REGIONS) as Region[];

/** Continents as request.cf has them. Antarctica has no data centre; its links end in the south. */
const CONTINENTS: Record<string, readonly [number, number]> = {
  AF: [5, 20],
  AN: [-34, 150],
  AS: [25, 95],
  EU: [49, 10],
  NA: [40, -95],
  OC: [-30, 145],
  SA: [-18, -58],
};

/** Of a request's way through the network: light in fibre takes 1 ms for 100 km there and back, and cables take detours, about twice the way. */
const MS_PER_KM = 0.02;
/** There and back to the nearest region, about. */
const NEAR_MS = 10;
/** Of a model of which nobody knows how long it takes to load, and of an answer of which nobody knows how long it takes, milliseconds. */
const LOAD_MS = 3000;
const SERVICE_MS = 2000;
/** A Durable Object without requests leaves the memory after one to two minutes. */
const WARM_FOR_MS = 60_000;

/** One replica of the edge model. */
export interface Replica {
  /** Null: wherever the first request came from. */
  region: Region | null;
  index: number;
  /** What it said last to this gateway; null when it has not been asked. */
  figures: Snapshot<EdgeFigures> | null;
}

/** Where clients are. Coordinates, in degrees, are more exact than a continent, which is there more often. */
export interface ClientPlace {
  continent: string | null;
  latitude: number | null;
  longitude: number | null;
}

export interface Traffic {
  now: number;
  /** Requests that this gateway has sent to the edge in the last minute. */
  lastMinute: number;
}

/** Name of its object: `model:region:replica`. */
export const replicaName = ({ region, index }: Pick<Replica, 'region' | 'index'>): string => `default:${region ?? 'any'}:${index}`;

/** The region in such a name; null where it has none. */
export function regionOf(name: string): Region | null {
  const region = name.split(':')[1];
  return regions.find((known) => known === region) ?? null;
}

/** There and back between a client and a region by the great circle, milliseconds; a middling 100 where nobody knows the client's place. */
export function distanceMs(client: ClientPlace, region: Region | null): number {
  if (region === null) return 0;
  const from = coordinatesOf(client);
  if (!from) return 100;
  const [lat, long] = REGIONS[region];
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  // Haversine formula; the Earth's mean radius is 6371 km.
  const a =
    Math.sin(radians(lat - from[0]) / 2) ** 2 +
    Math.cos(radians(lat)) * Math.cos(radians(from[0])) * Math.sin(radians(long - from[1]) / 2) ** 2;
  return NEAR_MS + 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(a))) * MS_PER_KM;
}

function coordinatesOf({ continent, latitude, longitude }: ClientPlace): readonly [number, number] | null {
  if (latitude !== null && longitude !== null && Number.isFinite(latitude) && Number.isFinite(longitude)) return [latitude, longitude];
  return CONTINENTS[continent ?? ''] ?? null;
}

/**
 * The replica that answers soonest, as far as known: its distance, the wait in its queue, and loading the model where it is not in memory. A load is divided
 * among the requests of the next minute, as many as in the last: a single request never wakes a replica while a warm one is free, and steady traffic wakes one nearby, or
 * a second one when the first has a queue. Of equals the first. Throws when there is none.
 */
export function chooseReplica<R extends Replica>(replicas: readonly R[], client: ClientPlace, traffic: Traffic): R {
  let best: { replica: R; ms: number } | null = null;
  for (const replica of replicas) {
    const ms = distanceMs(client, replica.region) + delayMs(replica, traffic);
    if (!best || ms < best.ms) best = { replica, ms };
  }
  if (!best) throw new Error('There is no replica to choose from.');
  return best.replica;
}

function delayMs({ figures }: Replica, { now, lastMinute }: Traffic): number {
  const { warm, loadMs, running, queued, slots, serviceMs } = figures?.values ?? {};
  const isWarm = figures !== null && warm !== false && now - figures.asOf < WARM_FOR_MS;
  if (!isWarm) return (loadMs ?? LOAD_MS) / (1 + lastMinute);
  const free = (slots ?? 1) - (running ?? 0);
  return free > 0 ? 0 : (((queued ?? 0) + 1) * (serviceMs ?? SERVICE_MS)) / (slots ?? 1);
}
