/** What the gateway uses of the platform's module `cloudflare:workers`, for plain Node. */

export class DurableObject<Env> {
  protected readonly ctx: unknown;
  protected readonly env: Env;

  constructor(ctx: unknown, env: Env) {
    this.ctx = ctx;
    this.env = env;
  }
}

/** The process lives as long as its server. */
export function waitUntil(work: Promise<unknown>): void {
  work.catch((error) => console.error(error));
}
