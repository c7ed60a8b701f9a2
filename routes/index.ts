import { Hono } from 'hono';
import { chatRoutes } from './chat.ts';
import { ApiError, errorResponse, toApiError } from './errors.ts';
import type { Gateway } from './gateway.ts';
import { healthRoutes } from './health.ts';
import { modelRoutes } from './models.ts';
import { routeRoutes } from './route.ts';

export interface AppOptions {
  /** Larger bodies are refused with 413 before they are parsed. */
  maxBodyBytes: number;
  /** Pause after which a comment is written into a silent stream. */
  keepAliveMs: number;
  /** Told, for the log, of errors nobody foresaw and of streams that ended with an error. */
  onError: (error: unknown, requestId: string) => void;
}

export interface AppEnv {
  Variables: { requestId: string; caller: string };
}

/** The HTTP surface over a gateway. */
export function createApp(gateway: Gateway, options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.use(async (c, next) => {
    const id = requestId(c.req.header('x-request-id'));
    c.set('requestId', id);
    // Before there is a response: a header that comes later has the whole response made anew.
    c.header('x-request-id', id);
    await next();
  });
  app.use('/v1/*', async (c, next) => {
    c.set('caller', await gateway.authorize(c.req.header('authorization') ?? null));
    await next();
  });

  chatRoutes(app, gateway, options);
  routeRoutes(app, gateway, options);
  modelRoutes(app, gateway);
  healthRoutes(app, gateway);

  app.notFound((c) =>
    errorResponse(c, new ApiError(404, 'not_found', `There is no ${c.req.path} here; the API starts at /v1/chat/completions.`)),
  );
  app.onError((error, c) => {
    if (!(error instanceof ApiError) && !c.req.raw.signal.aborted) options.onError(error, c.get('requestId'));
    return errorResponse(c, toApiError(error));
  });
  return app;
}

/** A client's own id is kept when it is harmless in logs and headers. */
function requestId(given: string | undefined): string {
  if (given && /^[\w.:/+=-]{1,128}$/.test(given)) return given;
  return `req_${crypto.randomUUID().replaceAll('-', '')}`;
}
