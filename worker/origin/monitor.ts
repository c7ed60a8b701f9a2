import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../config.ts';
import type { Observation } from './endpoint.ts';
import { type Look, look, type Target } from './scrape.ts';

/** What a gateway asks: what is known about these, please, and keep looking. */
export interface SnapshotRequest {
  targets: Target[];
  /** Pause between two looks, milliseconds. */
  everyMs: number;
}

/** Observations by the targets' URLs. */
export type Snapshot = Record<string, Observation>;

/** Nobody has asked for so many pauses: there is no traffic, so there is nothing to look at. */
const pausesToStop = 4;

/**
 * Looks at the endpoints on behalf of all gateways of a region, so that a hundred isolates do not send a hundred scrapes. One object per region; it works while it
 * is asked, and keeps nothing: whoever comes after an eviction starts with an empty snapshot and has figures one look later.
 */
export class OriginMonitor extends DurableObject<Env> {
  readonly #looks = new Map<string, Look>();
  #targets: Target[] = [];
  #everyMs = 1_500;
  #askedAt = 0;
  #looking = false;

  override async fetch(request: Request): Promise<Response> {
    const { targets, everyMs } = (await request.json()) as SnapshotRequest;
    this.#targets = targets;
    this.#everyMs = everyMs;
    this.#askedAt = Date.now();
    if (!this.#looking) this.ctx.waitUntil(this.#lookOn());
    const snapshot: Snapshot = {};
    for (const { url } of targets) {
      const known = this.#looks.get(url);
      if (known) snapshot[url] = known.seen;
    }
    return Response.json(snapshot);
  }

  async #lookOn(): Promise<void> {
    this.#looking = true;
    try {
      while (Date.now() - this.#askedAt < pausesToStop * this.#everyMs) {
        await Promise.all(this.#targets.map((target) => this.#lookAt(target)));
        const urls = new Set(this.#targets.map((target) => target.url));
        for (const url of this.#looks.keys()) if (!urls.has(url)) this.#looks.delete(url);
        await new Promise((resolve) => setTimeout(resolve, this.#everyMs));
      }
    } finally {
      this.#looking = false;
    }
  }

  async #lookAt(target: Target): Promise<void> {
    const client = target.binding === null ? null : (this.env[target.binding as `ORIGIN_${string}`] as Fetcher | undefined);
    const fetcher: typeof fetch = client ? client.fetch.bind(client) : fetch;
    this.#looks.set(target.url, await look(target, this.#looks.get(target.url) ?? null, fetcher, Date.now));
  }
}
