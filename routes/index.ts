import { Hono } from 'hono';
import { chatHandler, chatPath } from './chat.ts';
import { cors, type Pages } from './cors.ts';
import { ApiError, errorResponse, methodNotAllowed, toApiError } from './errors.ts';
import type { Gateway } from './gateway.ts';
import { healthRoutes } from './health.ts';
import { modelRoutes } from './models.ts';
import { requestId } from './request-id.ts';
import { routeRoutes } from './route.ts';

export interface AppOptions {
  /** Larger bodies are refused with 413 before they are parsed. */
  maxBodyBytes: number;
  /** Pause after which a comment is written into a silent stream. */
  keepAliveMs: number;
  /** Which pages in browsers may call. */
  pages: Pages;
  /** Told, for the log, of errors nobody foresaw and of streams that ended with an error. */
  onError: (error: unknown, requestId: string) => void;
}

export interface AppEnv {
  Variables: { requestId: string; caller: string };
}

/** The HTTP surface over a gateway. */
export function createApp(gateway: Gateway, options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const chat = chatHandler(gateway, options);

  // Before the middleware, whose steps nearly all requests are so spared: the handler does what they do.
  app.post(chatPath, (c) => chat(c.req.raw));
  app.use(async (c, next) => {
    const id = requestId(c.req.header('x-request-id') ?? null);
    c.set('requestId', id);
    // Before there is a response: a header that comes later has the whole response made anew.
    c.header('x-request-id', id);
    await next();
  });
  app.use('/v1/*', cors(options.pages));
  app.use('/v1/*', async (c, next) => {
    c.set('caller', await gateway.authorize(c.req.header('authorization') ?? null));
    await next();
  });

  app.all(chatPath, methodNotAllowed('POST'));
  routeRoutes(app, gateway, options);
  modelRoutes(app, gateway);
  healthRoutes(app, gateway);

  app.notFound((c) => {
    const error = new ApiError(
      404,
      'not_found',
      `There is no ${c.req.path} here, only /v1/chat/completions and /v1/models: have your client use chat completions, and a base URL that ends in /v1.`,
    );
    return errorResponse(error, c.get('requestId'));
  });
  app.onError((error, c) => {
    if (!(error instanceof ApiError) && !c.req.raw.signal.aborted) options.onError(error, c.get('requestId'));
    return errorResponse(toApiError(error), c.get('requestId'));
  });
  return app;
}
