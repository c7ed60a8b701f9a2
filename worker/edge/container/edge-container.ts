import { Container } from '@cloudflare/containers';
import type { EdgeVariables } from '../config.ts';
import type { EdgeStatus } from '../protocol.ts';
import { asleep } from './asleep.ts';

/**
 * One replica of the edge model in a container; the object's name is `model:region:replica`. It passes requests on to the engine there, which speaks the same protocol as
 * the engine in an isolate, and starts it for those that need it: to be asked how it is neither wakes nor keeps awake.
 */
export class EdgeContainer extends Container<EdgeVariables> {
  override defaultPort = 8788;
  override pingEndpoint = 'edge.invalid/healthz';
  override enableInternet = false;
  #key = '';

  constructor(ctx: ConstructorParameters<typeof Container>[0], env: EdgeVariables) {
    super(ctx, env);
    this.sleepAfter = env.NEARSIDE_EDGE_SLEEP_AFTER || '60s';
    ctx.blockConcurrencyWhile(async () => {
      // The engine asks for a key wherever it listens to more than itself. A container may outlive this object: the next one has to know it too.
      this.#key = (await ctx.storage.get<string>('key')) ?? crypto.randomUUID();
      await ctx.storage.put('key', this.#key);
      this.envVars = { ...settingsOf(env), NEARSIDE_EDGE_KEY: this.#key };
    });
  }

  override async fetch(request: Request): Promise<Response> {
    const authorized = new Request(request, { headers: { authorization: `Bearer ${this.#key}` } });
    return new URL(request.url).pathname === '/status' ? this.#status(authorized) : this.containerFetch(authorized);
  }

  async #status(request: Request): Promise<Response> {
    const { container, storage } = this.ctx;
    const last = await storage.get<EdgeStatus>('status');
    if (!container?.running && last) return Response.json(asleep(last));
    // What goes through containerFetch starts the container, and counts as a use of it.
    const response = last && container ? await container.getTcpPort(this.defaultPort).fetch(request) : await this.containerFetch(request);
    if (!response.ok) return response;
    const status = (await response.json()) as EdgeStatus;
    if (status.model !== last?.model || (status.figures?.loadMs ?? null) !== (last.figures?.loadMs ?? null))
      await storage.put('status', status);
    return Response.json(status);
  }
}

/** The engine's settings; what concerns this object, or a place where it is not, stays here. */
function settingsOf(env: EdgeVariables): Record<string, string> {
  const ours = ['NEARSIDE_EDGE_SLEEP_AFTER', 'NEARSIDE_EDGE_PACK', 'NEARSIDE_EDGE_PLACEMENT', 'NEARSIDE_EDGE_PLAN'];
  const theirs = Object.entries(env).filter(([name, value]) => name.startsWith('NEARSIDE_EDGE_') && !ours.includes(name) && value);
  return Object.fromEntries(theirs) as Record<string, string>;
}
